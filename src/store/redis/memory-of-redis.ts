// What a gateway remembers of Redis, in memory and on its own disk, so that it can put it back.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Heartbeat } from '../../model/fleet.ts'
import type { SharedState, StoredFlagBackup } from '../../model/shared-state.ts'
import type { StoreEvents } from '../events.ts'
import { replaceFile } from '../replace-file.ts'
import { parseEntry, parseReport, parseState } from '../shape.ts'

/** The newest entries of the audit log that are remembered. */
const MOST_ENTRIES = 1000
const FILE = 'last-state.json'
const RETRY_MS = 1000

/** Positions are the first characters of an audit member; the entry follows after a space. */
export const POSITION_LENGTH = 16

const copy = z.object({
  state: z.unknown(),
  dropped: z.number(),
  entries: z.array(z.string().regex(/^\d{16} /)),
  // Not there in what an older gateway has written.
  members: z.array(z.object({ report: z.unknown(), at: z.number() })).exactOptional(),
})

export class MemoryOfRedis {
  text = ''
  digest = ''
  generation = 0
  dropped = 0
  flags: StoredFlagBackup | undefined
  /** Audit members, the oldest first. */
  entries: string[] = []
  /** Entries that were answered for since Redis was last looked at: there when it was, or it has lost them. */
  unconfirmed: string[] = []
  /** By id: the gateways of the fleet, their last report, and when it came by the clock of Redis. */
  readonly members = new Map<string, { readonly report: Heartbeat; readonly at: number }>()
  /** Up to here the log of Redis was read. */
  readUpTo = '0'
  private readonly file: string | undefined
  private readonly events: Pick<StoreEvents, 'troubled' | 'writeFailed'>
  private writing: Promise<void> | undefined
  private isDirty = false
  /** The last write failed: another follows. */
  private hasFailed = false
  private isClosed = false
  private retry: NodeJS.Timeout | undefined

  constructor(stateDir: string | undefined, events: Pick<StoreEvents, 'troubled' | 'writeFailed'>) {
    this.file = stateDir === undefined ? undefined : join(stateDir, FILE)
    this.events = events
  }

  /** Takes the text of a state that is the one in Redis, or is to be. */
  keepState(text: string, state: SharedState): void {
    this.text = text
    this.generation = state.generation
    this.digest = createHash('sha1').update(text).digest('hex')
  }

  /** A gateway of the previous version has another id after a restart, and is not remembered. */
  keepMember(report: Heartbeat, at: number): void {
    if (report.instance === undefined) return
    const isNew = !this.members.has(report.id)
    this.members.set(report.id, { report, at })
    if (isNew) void this.write()
  }

  forgetMember(id: string): void {
    if (this.members.delete(id)) void this.write()
  }

  /** Takes audit members in any order; those that are there already are known. */
  keepEntries(members: readonly string[]): void {
    const known = new Set(this.entries)
    const fresh = members.filter((member) => !known.has(member) && isMember(member))
    if (fresh.length === 0) return
    this.entries = [...this.entries, ...fresh].sort().slice(-MOST_ENTRIES)
  }

  /** Takes an entry that Redis has just answered for. */
  keepOwn(member: string): void {
    this.keepEntries([member])
    this.unconfirmed.push(member)
  }

  /**
   * All that was asked for is there, and these beside. The newest of them must be there at the next look too, and what
   * was answered for meanwhile.
   */
  confirm(asked: readonly string[], newer: readonly string[]): void {
    this.keepEntries(newer)
    const newest = [...asked, ...newer].sort().at(-1)
    if (newest === undefined) return
    const confirmed = new Set([...asked, ...newer])
    this.unconfirmed = [newest, ...this.unconfirmed.filter((member) => !confirmed.has(member))]
    const position = newest.slice(0, POSITION_LENGTH)
    if (position > this.readUpTo) this.readUpTo = position
  }

  /**
   * The state of the last run; undefined if there is none, or none that can be read, which is told.
   */
  async recall(): Promise<SharedState | undefined> {
    if (this.file === undefined) return undefined
    try {
      const { state, dropped, entries, members = [] } = copy.parse(JSON.parse(await readFile(this.file, 'utf8')))
      this.keepEntries(entries)
      this.unconfirmed = this.entries.slice(-1)
      this.dropped = dropped
      for (const { report, at } of members) {
        const known = parseReport(JSON.stringify(report))
        this.members.set(known.id, { report: known, at })
      }
      if (state === null) return undefined
      const text = JSON.stringify(state)
      const parsed = parseState(text)
      this.keepState(text, parsed)
      return parsed
    } catch (error) {
      if (!isMissing(error))
        this.events.troubled(new Error(`what was kept in ${this.file} cannot be read`, { cause: error }))
      return undefined
    }
  }

  /** Resolves when the memory is on the disk, or could not be written: this is reported, and tried again later. */
  async write(): Promise<void> {
    if (this.file === undefined) return
    this.isDirty = true
    this.writing ??= this.writeAll(this.file).finally(() => {
      this.writing = undefined
    })
    await this.writing
  }

  /** Writes a last time. */
  async close(): Promise<void> {
    this.isClosed = true
    clearTimeout(this.retry)
    await this.write()
  }

  private async writeAll(file: string): Promise<void> {
    while (this.isDirty) {
      this.isDirty = false
      const entries = this.entries.map((member) => JSON.stringify(member)).join(',\n')
      const members = JSON.stringify([...this.members.values()])
      const state = this.text === '' ? 'null' : this.text
      try {
        await replaceFile(
          file,
          `{"state":${state},\n"dropped":${this.dropped},"entries":[${entries}],\n"members":${members}}\n`,
        )
        this.hasFailed = false
      } catch (error) {
        if (!this.hasFailed)
          this.events.troubled(new Error(`the last state cannot be kept in ${file}`, { cause: error }))
        this.hasFailed = true
        this.events.writeFailed?.(error)
        this.writeLater()
      }
    }
  }

  private writeLater(): void {
    clearTimeout(this.retry)
    if (!this.isClosed) this.retry = setTimeout(() => void this.write(), RETRY_MS).unref()
  }
}

/** Whatever is put back must be readable: what is not an entry is not remembered. */
function isMember(member: string): boolean {
  try {
    parseEntry(member.slice(POSITION_LENGTH + 1))
    return true
  } catch {
    return false
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
