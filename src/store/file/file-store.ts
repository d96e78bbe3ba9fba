// Shared state in a folder, for a gateway that is alone: what it is told survives it, however it ends.
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { isMissing } from '../../lib/file-errors.ts'
import type { AuditPage, AuditQuery } from '../../model/audit-log.ts'
import type { FleetMember, Heartbeat } from '../../model/fleet.ts'
import type { Clock } from '../../model/ports.ts'
import type { SharedState, StoredFlagBackup } from '../../model/shared-state.ts'
import { type CommitResult, type StoreStatus, StoreUnavailable } from '../../model/state-store.ts'
import type { Store } from '../../model/store.ts'
import { unchainedText, verifyHistory } from '../audit-chain.ts'
import { NO_EVENTS, type Restored, type StoreEvents } from '../events.ts'
import { KnownState } from '../known-state.ts'
import { SILENT_MS } from '../limits.ts'
import { listeners } from '../listeners.ts'
import { queue } from '../queue.ts'
import { makeFolder, replaceFile } from '../replace-file.ts'
import { parseKeptFlags, parseReport, parseState, textOfEntry, textOfState } from '../shape.ts'
import { AuditFile } from './audit-file.ts'
import { fileComparisons } from './file-comparisons.ts'
import { FolderLock, FolderTaken, TOUCH_MS } from './folder-lock.ts'
import { type Kept, KeptState } from './kept-state.ts'

export type FileStoreOptions = {
  /** `.strangler` if not given. */
  readonly folder?: string
  readonly clock: Clock
  readonly events?: StoreEvents
}

/** Among so many of the newest entries, a change that is asked for again is looked for. */
const REPEAT_ENTRIES = 100

/**
 * The state in a folder: `state.json`, `state.copy.json`, `audit.jsonl`, `kept-flags.json` and `lock`, for the gateway's own
 * eyes; and under `comparisons` what comparing finds. The audit log grows as it is written; whoever moves it away begins a
 * new one.
 *
 * A folder has one handle, in this process and in all others. A second one says in its status and with every change why it
 * cannot; it follows the state of the first, and takes the folder over when that one is gone.
 */
export function fileStore({ folder = '.strangler', clock, events = NO_EVENTS }: FileStoreOptions): Store {
  const location = resolve(folder)
  const known = new KnownState(events.troubled)
  const reports = listeners<Heartbeat>(events.troubled)
  const audit = new AuditFile(join(location, 'audit.jsonl'), events.troubled)
  const keptState = new KeptState(location, events.troubled)
  const flagsFile = join(location, 'kept-flags.json')
  const members = new Map<string, { readonly report: Heartbeat; readonly at: number }>()
  const serially = queue()
  const comparisons = fileComparisons({
    folder: join(location, 'comparisons'),
    clock,
    troubled: events.troubled,
    writeFailed: events.writeFailed,
    own: () => serially(own),
  })
  let lock: FolderLock | undefined
  let kept: Kept | undefined
  let isEntryMissing = false
  let trouble: { readonly reason: string; readonly since: number } | undefined = {
    reason: 'the store was not started',
    since: clock.now(),
  }
  let isTold = false
  let restored: StoreStatus['restored']
  let timer: NodeJS.Timeout | undefined
  let isClosed = false

  return {
    start: async () => {
      await serially(own).catch(() => {})
      keepUp()
    },
    current: () => known.current,
    read: () => serially(own),
    commit: async (next, entry) => {
      const [text, line] = [textOfState(next), textOfEntry(entry)]
      return serially(() => commit(text, line, next.generation))
    },
    record: async (entry) => {
      const line = textOfEntry(entry)
      await serially(() => record(line))
    },
    history,
    verifyHistory: () => verifyHistory(history),
    onChange: (listener) => known.onChange(listener),
    sendHeartbeat: async (report) => {
      const copy = parseReport(JSON.stringify(report))
      members.set(copy.id, { report: copy, at: clock.now() })
      reports.tell(copy)
    },
    removeMember: async (id) => void members.delete(id),
    fleet: async () => fleet(),
    onHeartbeat: (listener) => reports.add(listener),
    saveFlagBackup: (flags) => serially(() => keepFlags(flags)),
    loadFlagBackup: keptFlags,
    wallTime: () => clock.wallTime(),
    status,
    comparisons: comparisons.store,
    close,
  }

  async function history(query: AuditQuery): Promise<AuditPage> {
    await serially(() => (lock === undefined ? Promise.resolve() : writeMissingEntry())).catch(() => {})
    return reading(() => audit.page(query))
  }

  /** Has the folder, or says why not; the state is known either way, if it can be read. */
  async function own(): Promise<SharedState> {
    if (isClosed) throw new StoreUnavailable('the store is closed', undefined)
    if (lock !== undefined && (await lock.isOurs())) return known.current
    lock = undefined
    return attempt(async () => {
      await makeFolder(location)
      await follow()
      const taken = await FolderLock.take(location)
      try {
        await recover()
        lock = taken
        comparisons.tidy()
      } finally {
        // What could not be read must not be written over.
        if (lock === undefined) await taken.release()
      }
      return known.current
    })
  }

  async function recover(): Promise<void> {
    const recovered = await keptState.recover(audit, known.current)
    kept = recovered
    isEntryMissing = kept.entry !== undefined && !(await audit.has(kept.entry, kept.auditBytes))
    // Its place in the chain may be taken: the log was moved away, and others were written into the new one.
    if (isEntryMissing && kept.entry !== undefined)
      kept = { ...kept, entry: await audit.chained(unchainedText(kept.entry)) }
    await writeMissingEntry()
    known.adopt(kept.state)
    if (recovered.restored !== undefined) await report(recovered.restored)
  }

  /** The state was older than what is left of later changes: somebody must know. */
  async function report(facts: Restored): Promise<void> {
    const { generation, found, lost } = facts
    const rest = lost.length === 0 ? '' : `; make these changes again: ${lost.join(', ')}`
    const detail = `state.json had generation ${found}, and later changes are known: put back generation ${generation}${rest}`
    const at = clock.wallTime()
    restored = { at, detail }
    events.restored(facts)
    await append(
      textOfEntry({
        at,
        actor: 'gateway',
        address: null,
        verb: 'restore',
        context: null,
        before: { generation: found },
        after: { generation },
        reason: null,
        until: null,
        result: 'done',
        detail,
        generation: null,
        gateway: hostname(),
      }),
    )
  }

  /** What another gateway has written is known here too. */
  async function follow(): Promise<void> {
    const theirs = await keptState.read().catch(() => undefined)
    if (theirs !== undefined) known.adopt(theirs.state)
  }

  async function commit(text: string, line: string, generation: number): Promise<CommitResult> {
    await own()
    if (known.current.generation !== generation - 1) {
      const isOurs =
        (await reading(() => audit.newest((other) => unchainedText(other) === line, REPEAT_ENTRIES))) !== undefined
      return isOurs ? { ok: true } : { ok: false, conflict: known.current }
    }
    const next = await attempt(async () => {
      await writeMissingEntry()
      const [auditBytes, chained] = [await audit.wholeSize(), await audit.chained(line)]
      await keptState.write(text, chained, auditBytes)
      return { state: parseState(text), entry: chained, auditBytes }
    })
    kept = next
    isEntryMissing = true
    // The change is made, its entry with it: the log may follow later.
    await writeMissingEntry().catch((error: unknown) => void unavailable(error))
    serially(() => keptState.writeCopy(next)).catch((error: unknown) => void unavailable(error))
    known.adopt(next.state)
    return { ok: true }
  }

  async function record(line: string): Promise<void> {
    await own()
    await attempt(async () => {
      await writeMissingEntry()
      await append(line)
    })
  }

  async function append(line: string): Promise<void> {
    await audit.append(await audit.chained(line))
  }

  /** The entry of the last change, where it stands in `state.json` only. */
  async function writeMissingEntry(): Promise<void> {
    if (!isEntryMissing || kept?.entry === undefined) return
    await audit.append(kept.entry)
    isEntryMissing = false
  }

  async function keepFlags(flags: StoredFlagBackup): Promise<void> {
    await own()
    await attempt(async () => {
      const last = await keptFlags()
      if (flags.at < (last?.at ?? 0)) return
      await replaceFile(flagsFile, JSON.stringify({ text: flags.text, at: flags.at }))
    })
  }

  async function keptFlags(): Promise<StoredFlagBackup | undefined> {
    try {
      return parseKeptFlags(await readFile(flagsFile, 'utf8'))
    } catch (error) {
      if (isMissing(error)) return undefined
      events.troubled(new Error(`${flagsFile} cannot be read`, { cause: error }))
      return undefined
    }
  }

  function fleet(): FleetMember[] {
    const now = clock.now()
    for (const [id, { at }] of members) if (now - at > SILENT_MS) members.delete(id)
    return [...members.values()].map(({ report, at }) => ({ ...report, silentMs: Math.round(now - at) }))
  }

  function keepUp(): void {
    if (isClosed) return
    timer = setTimeout(async () => {
      await serially(tick).catch(() => {})
      keepUp()
    }, TOUCH_MS)
    timer.unref()
  }

  async function tick(): Promise<void> {
    await own()
    await lock?.touch()
    // Whether the disk takes writes again is only known by writing.
    const last = kept
    if (trouble !== undefined && last !== undefined)
      await attempt(async () => {
        await writeMissingEntry()
        await keptState.writeCopy(last)
      })
  }

  /** Does something with the folder; what goes wrong is remembered until something goes well. */
  async function attempt<T>(what: () => Promise<T>): Promise<T> {
    try {
      const result = await what()
      mended()
      return result
    } catch (error) {
      throw unavailable(error)
    }
  }

  /** Reads: that it works says nothing of whether the folder can be written. */
  async function reading<T>(what: () => Promise<T>): Promise<T> {
    try {
      return await what()
    } catch (error) {
      throw new StoreUnavailable(`${location} cannot be read: ${messageOf(error)}`, error)
    }
  }

  function unavailable(error: unknown): StoreUnavailable {
    if (error instanceof StoreUnavailable) return error
    const isTaken = error instanceof FolderTaken
    events.writeFailed?.(error)
    const reason = isTaken ? error.message : `${location} cannot be written: ${messageOf(error)}`
    trouble = { reason, since: isTold ? (trouble?.since ?? clock.now()) : clock.now() }
    if (!isTold) events.cutOff(reason)
    isTold = true
    return new StoreUnavailable(reason, error)
  }

  function mended(): void {
    if (trouble === undefined) return
    if (isTold) events.reached(clock.now() - trouble.since)
    trouble = undefined
    isTold = false
  }

  function status(): StoreStatus {
    const cutOffMs = trouble === undefined ? 0 : clock.now() - trouble.since
    return { kind: 'file', location, isConnected: trouble === undefined, cutOffMs, trouble: trouble?.reason, restored }
  }

  async function close(): Promise<void> {
    clearTimeout(timer)
    await comparisons.close()
    await serially(async () => {
      isClosed = true
      await lock?.release()
      lock = undefined
    }).catch(() => {})
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
