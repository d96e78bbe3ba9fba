// Shared state in the memory of one process: for tests, where several handles over one memory are a fleet.

import type { AuditEntry, AuditPage, AuditQuery, AuditRecord } from '../../model/audit-log.ts'
import type { FleetMember, Heartbeat } from '../../model/fleet.ts'
import type { Clock } from '../../model/ports.ts'
import { EMPTY_STATE, type SharedState, type StoredFlagBackup } from '../../model/shared-state.ts'
import { type CommitResult, type StoreStatus, StoreUnavailable } from '../../model/state-store.ts'
import type { Store } from '../../model/store.ts'
import { chainedText, hashIn, unchainedText, verifyHistory } from '../audit-chain.ts'
import { NO_EVENTS, type StoreEvents } from '../events.ts'
import { KnownState } from '../known-state.ts'
import { AUDIT_LIMIT, SILENT_MS } from '../limits.ts'
import { listeners } from '../listeners.ts'
import { parseEntry, parseReport, parseState, textOfEntry, textOfState } from '../shape.ts'
import { type ComparisonMemory, comparisonMemory, memoryComparisons } from './memory-comparisons.ts'

/** What all handles share. It holds texts, as the real stores do: nobody can change what another has read. */
export type SharedMemory = {
  /** Whether the handles reach it. A test that sets it to false cuts all of them off. */
  isReachable: boolean
  state: string
  generation: number
  readonly audit: Line[]
  written: number
  dropped: number
  readonly members: Map<string, { readonly report: string; readonly at: number }>
  flags: StoredFlagBackup | undefined
  readonly comparisons: ComparisonMemory
  readonly handles: Set<Handle>
}
type Line = { readonly position: string; readonly text: string }
type Handle = { readonly changed: (state: string) => void; readonly reported: (report: string) => void }

export type MemoryStoreOptions = {
  readonly memory?: SharedMemory
  readonly clock: Clock
  readonly events?: StoreEvents
}

export function sharedMemory(): SharedMemory {
  return {
    isReachable: true,
    state: textOfState(EMPTY_STATE),
    generation: 0,
    audit: [],
    written: 0,
    dropped: 0,
    members: new Map(),
    flags: undefined,
    comparisons: comparisonMemory(),
    handles: new Set(),
  }
}

/** A handle over `memory`, which others may share. Of the audit log it keeps the newest 10,000 entries. */
export function memoryStore({ memory = sharedMemory(), clock, events = NO_EVENTS }: MemoryStoreOptions): Store {
  const known = new KnownState(events.troubled)
  const reports = listeners<Heartbeat>(events.troubled)
  const handle: Handle = {
    changed: (text) => known.adopt(parseState(text)),
    reported: (text) => reports.tell(parseReport(text)),
  }
  let cutOffAt: number | undefined

  return {
    start: async () => {
      memory.handles.add(handle)
      if (memory.isReachable) known.adopt(parseState(memory.state))
    },
    current: () => known.current,
    read: async () => {
      await reach()
      const state = parseState(memory.state)
      known.adopt(state)
      return state
    },
    commit: async (next, entry) => {
      await reach()
      return commit(next, entry)
    },
    record: async (entry) => {
      await reach()
      append(textOfEntry(entry))
    },
    history,
    verifyHistory: () => verifyHistory(history),
    onChange: (listener) => known.onChange(listener),
    sendHeartbeat: async (report) => {
      await reach()
      const text = JSON.stringify(report)
      memory.members.set(parseReport(text).id, { report: text, at: clock.wallTime() })
      for (const other of memory.handles) other.reported(text)
    },
    removeMember: async (id) => {
      await reach()
      memory.members.delete(id)
    },
    fleet: async () => {
      await reach()
      return fleet(memory, clock.wallTime())
    },
    onHeartbeat: (listener) => reports.add(listener),
    saveFlagBackup: async (flags) => {
      await reach()
      if (flags.at >= (memory.flags?.at ?? 0)) memory.flags = { text: flags.text, at: flags.at }
    },
    loadFlagBackup: async () => {
      await reach()
      return memory.flags
    },
    wallTime: () => clock.wallTime(),
    status,
    comparisons: memoryComparisons(memory.comparisons, reach, () => clock.wallTime()),
    close: async () => void memory.handles.delete(handle),
  }

  async function history(query: AuditQuery): Promise<AuditPage> {
    await reach()
    return page(memory, query)
  }

  function commit(next: SharedState, entry: AuditEntry): CommitResult {
    const [state, line] = [textOfState(next), textOfEntry(entry)]
    if (memory.generation !== next.generation - 1) {
      const isOurs = memory.audit.some(({ text }) => unchainedText(text) === line)
      return isOurs ? { ok: true } : { ok: false, conflict: parseState(memory.state) }
    }
    memory.state = state
    memory.generation = next.generation
    append(line)
    for (const other of memory.handles) other.changed(state)
    return { ok: true }
  }

  function append(text: string): void {
    const last = memory.audit.findLast((line) => hashIn(line.text) !== undefined)
    const chained = chainedText(text, last === undefined ? null : (hashIn(last.text) ?? null))
    memory.audit.push({ position: String(++memory.written).padStart(16, '0'), text: chained })
    if (memory.audit.length > AUDIT_LIMIT) {
      memory.audit.shift()
      memory.dropped++
    }
  }

  /** Takes a turn, as an answer over a network does: what is asked at once races. */
  async function reach(): Promise<void> {
    await null
    if (memory.isReachable) {
      cutOffAt = undefined
      return
    }
    cutOffAt ??= clock.now()
    throw new StoreUnavailable('the memory cannot be reached', undefined)
  }

  function status(): StoreStatus {
    if (memory.isReachable)
      return { kind: 'memory', location: 'memory', isConnected: true, cutOffMs: 0, trouble: undefined }
    cutOffAt ??= clock.now()
    return {
      kind: 'memory',
      location: 'memory',
      isConnected: false,
      cutOffMs: clock.now() - cutOffAt,
      trouble: 'the memory cannot be reached',
    }
  }
}

function page(memory: SharedMemory, { context, before, limit }: AuditQuery): AuditPage {
  const found: AuditRecord[] = []
  for (const { position, text } of memory.audit.toReversed()) {
    if (before !== undefined && position >= before) continue
    const entry = parseEntry(text)
    if (context !== undefined && entry.context !== context) continue
    if (found.length === limit) return { records: found, next: found.at(-1)?.position ?? null, dropped: memory.dropped }
    found.push({ ...entry, position })
  }
  return { records: found, next: null, dropped: memory.dropped }
}

function fleet(memory: SharedMemory, now: number): FleetMember[] {
  for (const [id, { at }] of memory.members) if (now - at > SILENT_MS) memory.members.delete(id)
  return [...memory.members.values()].map(({ report, at }) => ({ ...parseReport(report), silentMs: now - at }))
}
