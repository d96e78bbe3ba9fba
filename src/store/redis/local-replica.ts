// The copy of the state and of the newest audit entries that each gateway has, in memory and on its own disk. It restores
// a Redis that has lost data.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { isMissing } from '../../lib/file-errors.ts'
import { replaceFile } from '../../lib/replace-file.ts'
import type { AuditEntry } from '../../model/audit-log.ts'
import type { Heartbeat } from '../../model/fleet.ts'
import type { SharedState, StoredFlagBackup } from '../../model/shared-state.ts'
import { parseEntry, parseHeartbeat, parseState } from '../state-schema.ts'
import type { StoreEvents } from '../store-events.ts'

type ReplicaEvents = Pick<StoreEvents, 'failed' | 'writeFailed'>
/** `at` is the time of the heartbeat by the clock of Redis. */
type KnownMember = { readonly report: Heartbeat; readonly at: number }

/** The replica has at most this many of the newest entries of the audit log. */
const MAX_ENTRIES = 1000
const FILE = 'last-state.json'
const RETRY_MS = 1000

/** An audit member is its position in 16 digits, a space, and the entry as JSON. */
const POSITION_LENGTH = 16

const replicaFile = z.object({
  state: z.unknown(),
  dropped: z.number(),
  entries: z.array(z.string().regex(/^\d{16} /)),
  // Absent in a file of an older gateway.
  members: z.array(z.object({ report: z.unknown(), at: z.number() })).exactOptional(),
})

export class LocalReplica {
  dropped = 0
  flags: StoredFlagBackup | undefined
  #text = ''
  #digest = ''
  #generation = 0
  #entries: string[] = []
  #unconfirmed: string[] = []
  #readUpTo = '0'
  readonly #members = new Map<string, KnownMember>()
  readonly #file: string | undefined
  readonly #events: ReplicaEvents
  #saving: Promise<void> | undefined
  #isDirty = false
  #hasFailed = false
  #isClosed = false
  #retryTimer: NodeJS.Timeout | undefined

  /** @param stateDir the folder of `last-state.json`; undefined for a replica in memory only */
  constructor(stateDir: string | undefined, events: ReplicaEvents) {
    this.#file = stateDir === undefined ? undefined : join(stateDir, FILE)
    this.#events = events
  }

  /** The state as JSON; empty before the first change. */
  get text(): string {
    return this.#text
  }

  /** SHA-1, hexadecimal, of the text. */
  get digest(): string {
    return this.#digest
  }

  get generation(): number {
    return this.#generation
  }

  /** Audit members, the oldest first. */
  get entries(): readonly string[] {
    return this.#entries
  }

  /** Entries that Redis must have at the next read. If one of them is missing, Redis has lost data. */
  get unconfirmed(): readonly string[] {
    return this.#unconfirmed
  }

  /** The position up to which the log of Redis was read. */
  get readUpTo(): string {
    return this.#readUpTo
  }

  /** By id: the last heartbeat of each gateway, and its time by the clock of Redis. */
  get members(): ReadonlyMap<string, KnownMember> {
    return this.#members
  }

  /** Sets the state that Redis has, or is to have. */
  setState(text: string, { generation }: SharedState): void {
    this.#text = text
    this.#generation = generation
    this.#digest = createHash('sha1').update(text).digest('hex')
  }

  /** Ignores a gateway of the previous version: it has another id after a restart. */
  setMember(report: Heartbeat, receivedAt: number): void {
    if (report.instance === undefined) return
    const isNew = !this.#members.has(report.id)
    this.#members.set(report.id, { report, at: receivedAt })
    if (isNew) void this.save()
  }

  removeMember(id: string): void {
    if (this.#members.delete(id)) void this.save()
  }

  /** Adds audit members, in any order. Ignores known members, and those that could not be read again. */
  addEntries(members: readonly string[]): void {
    const existing = new Set(this.#entries)
    const newMembers = members.filter((member) => !existing.has(member) && isValidMember(member))
    if (newMembers.length === 0) return
    this.#entries = [...this.#entries, ...newMembers].sort().slice(-MAX_ENTRIES)
  }

  /** Adds an entry that Redis has just acknowledged. */
  addAcknowledged(member: string): void {
    this.addEntries([member])
    this.#unconfirmed.push(member)
  }

  /**
   * Redis has all `requested` entries, and the `newer` ones. The next read confirms the newest of them, and the entries
   * that Redis acknowledged meanwhile.
   */
  confirm(requested: readonly string[], newer: readonly string[]): void {
    this.addEntries(newer)
    const newest = [...requested, ...newer].sort().at(-1)
    if (newest === undefined) return
    const confirmed = new Set([...requested, ...newer])
    this.#unconfirmed = [newest, ...this.#unconfirmed.filter((member) => !confirmed.has(member))]
    const position = positionOf(newest)
    if (position > this.#readUpTo) this.#readUpTo = position
  }

  /** @returns the state of the last run; undefined if the file does not exist or, after an event, if it cannot be read */
  async load(): Promise<SharedState | undefined> {
    if (this.#file === undefined) return undefined
    try {
      const {
        state,
        dropped,
        entries,
        members = [],
      } = replicaFile.parse(JSON.parse(await readFile(this.#file, 'utf8')))
      this.addEntries(entries)
      this.#unconfirmed = this.#entries.slice(-1)
      this.dropped = dropped
      for (const member of members) {
        const report = parseHeartbeat(JSON.stringify(member.report))
        this.#members.set(report.id, { report, at: member.at })
      }
      if (state === null) return undefined
      const text = JSON.stringify(state)
      const parsed = parseState(text)
      this.setState(text, parsed)
      return parsed
    } catch (error) {
      if (!isMissing(error))
        this.#events.failed(new Error(`the copy of the last state in ${this.#file} cannot be read`, { cause: error }))
      return undefined
    }
  }

  /** Writes the file. Never rejects: a failure is reported, and the write is repeated later. */
  async save(): Promise<void> {
    if (this.#file === undefined) return
    this.#isDirty = true
    this.#saving ??= this.#writeFile(this.#file).finally(() => {
      this.#saving = undefined
    })
    await this.#saving
  }

  /** Writes the file for the last time. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#retryTimer)
    await this.save()
  }

  async #writeFile(file: string): Promise<void> {
    while (this.#isDirty) {
      this.#isDirty = false
      try {
        await replaceFile(file, this.#serialize())
        this.#hasFailed = false
      } catch (error) {
        if (!this.#hasFailed)
          this.#events.failed(new Error(`the last state cannot be written to ${file}`, { cause: error }))
        this.#hasFailed = true
        this.#events.writeFailed?.(error)
        this.#saveLater()
      }
    }
  }

  #serialize(): string {
    const state = this.#text === '' ? 'null' : this.#text
    const entries = this.#entries.map((member) => JSON.stringify(member)).join(',\n')
    const members = JSON.stringify([...this.#members.values()])
    return `{"state":${state},\n"dropped":${this.dropped},"entries":[${entries}],\n"members":${members}}\n`
  }

  #saveLater(): void {
    clearTimeout(this.#retryTimer)
    if (!this.#isClosed) this.#retryTimer = setTimeout(() => void this.save(), RETRY_MS).unref()
  }
}

export function positionOf(member: string): string {
  return member.slice(0, POSITION_LENGTH)
}

/** @throws {InvalidStoredValue} */
export function entryOf(member: string): AuditEntry {
  return parseEntry(member.slice(POSITION_LENGTH + 1))
}

function isValidMember(member: string): boolean {
  try {
    entryOf(member)
    return true
  } catch {
    return false
  }
}
