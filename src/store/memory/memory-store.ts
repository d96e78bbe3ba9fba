// Shared state in the memory of one process, for tests: several stores over one memory are a fleet.
import type { AuditEntry, AuditPage, AuditQuery, AuditRecord, ChainReport } from '../../model/audit-log.ts'
import type { ComparisonStore } from '../../model/comparison-store.ts'
import type { FleetMember, Heartbeat } from '../../model/fleet.ts'
import type { Clock } from '../../model/ports.ts'
import { EMPTY_STATE, type SharedState, type StoredFlagBackup } from '../../model/shared-state.ts'
import { type CommitResult, type StoreStatus, StoreUnavailable } from '../../model/state-store.ts'
import type { Store } from '../../model/store.ts'
import { addChainFields, parseHash, removeChainFields, verifyHistory } from '../audit-chain.ts'
import { CachedState } from '../cached-state.ts'
import { AUDIT_LIMIT, MEMBER_EXPIRY_MS } from '../limits.ts'
import { Listeners } from '../listeners.ts'
import { parseEntry, parseHeartbeat, parseState, serializeEntry, serializeState } from '../state-schema.ts'
import { NO_EVENTS, type StoreEvents } from '../store-events.ts'
import { ComparisonMemory, MemoryComparisons } from './memory-comparisons.ts'

type StreamLine = { readonly position: string; readonly text: string }
type Subscriber = {
  readonly receiveState: (text: string) => void
  readonly receiveHeartbeat: (text: string) => void
}

/** The memory that several stores share. It contains texts, so that no store can change the objects of another one. */
export class SharedMemory {
  /** Whether the stores can reach the memory. A test sets it to false to simulate an outage. */
  isReachable = true
  state = serializeState(EMPTY_STATE)
  generation = 0
  flags: StoredFlagBackup | undefined
  readonly members = new Map<string, { readonly report: string; readonly at: number }>()
  readonly comparisons = new ComparisonMemory()
  readonly subscribers = new Set<Subscriber>()
  readonly audit: StreamLine[] = []
  #written = 0
  #dropped = 0

  /** Appends the text of an entry to the audit log, with its chain fields. */
  append(text: string): void {
    const last = this.audit.findLast((line) => parseHash(line.text) !== undefined)
    const chained = addChainFields(text, last === undefined ? null : (parseHash(last.text) ?? null))
    this.audit.push({ position: String(++this.#written).padStart(16, '0'), text: chained })
    if (this.audit.length <= AUDIT_LIMIT) return
    this.audit.shift()
    this.#dropped++
  }

  hasEntry(text: string): boolean {
    return this.audit.some((line) => removeChainFields(line.text) === text)
  }

  page({ context, before: end, limit }: AuditQuery): AuditPage {
    const dropped = this.#dropped
    const records: AuditRecord[] = []
    for (const { position, text } of this.audit.toReversed()) {
      if (end !== undefined && position >= end) continue
      const entry = parseEntry(text)
      if (context !== undefined && entry.context !== context) continue
      if (records.length === limit) return { records, next: records.at(-1)?.position ?? null, dropped }
      records.push({ ...entry, position })
    }
    return { records, next: null, dropped }
  }
}

type MemoryStoreOptions = {
  /** A memory of its own if not given. */
  readonly memory?: SharedMemory
  readonly clock: Clock
  readonly events?: StoreEvents
}

/** A store over a memory. The audit log has the newest 10,000 entries. */
export class MemoryStore implements Store {
  readonly comparisons: ComparisonStore
  readonly #memory: SharedMemory
  readonly #clock: Clock
  readonly #cache: CachedState
  readonly #heartbeats: Listeners<Heartbeat>
  readonly #subscriber: Subscriber
  #unreachableSince: number | undefined

  constructor({ memory = new SharedMemory(), clock, events = NO_EVENTS }: MemoryStoreOptions) {
    this.#memory = memory
    this.#clock = clock
    this.#cache = new CachedState(events.failed)
    this.#heartbeats = new Listeners(events.failed)
    this.#subscriber = {
      receiveState: (text) => this.#cache.adopt(parseState(text)),
      receiveHeartbeat: (text) => this.#heartbeats.notify(parseHeartbeat(text)),
    }
    const connect = () => this.#connect()
    this.comparisons = new MemoryComparisons(memory.comparisons, connect, () => clock.wallTime())
  }

  async start(): Promise<void> {
    this.#memory.subscribers.add(this.#subscriber)
    if (this.#memory.isReachable) this.#cache.adopt(parseState(this.#memory.state))
  }

  current(): SharedState {
    return this.#cache.current
  }

  async read(): Promise<SharedState> {
    await this.#connect()
    const state = parseState(this.#memory.state)
    this.#cache.adopt(state)
    return state
  }

  async commit(next: SharedState, entry: AuditEntry): Promise<CommitResult> {
    await this.#connect()
    const memory = this.#memory
    const state = serializeState(next)
    const text = serializeEntry(entry)
    if (memory.generation !== next.generation - 1)
      return memory.hasEntry(text) ? { ok: true } : { ok: false, conflict: parseState(memory.state) }
    memory.state = state
    memory.generation = next.generation
    memory.append(text)
    for (const subscriber of memory.subscribers) subscriber.receiveState(state)
    return { ok: true }
  }

  async record(entry: AuditEntry): Promise<void> {
    await this.#connect()
    this.#memory.append(serializeEntry(entry))
  }

  async history(query: AuditQuery): Promise<AuditPage> {
    await this.#connect()
    return this.#memory.page(query)
  }

  verifyHistory(): Promise<ChainReport> {
    return verifyHistory((query) => this.history(query))
  }

  onChange(listener: (state: SharedState) => void): () => void {
    return this.#cache.onChange(listener)
  }

  async sendHeartbeat(report: Heartbeat): Promise<void> {
    await this.#connect()
    const text = JSON.stringify(report)
    this.#memory.members.set(parseHeartbeat(text).id, { report: text, at: this.#clock.wallTime() })
    for (const subscriber of this.#memory.subscribers) subscriber.receiveHeartbeat(text)
  }

  async removeMember(id: string): Promise<void> {
    await this.#connect()
    this.#memory.members.delete(id)
  }

  async fleet(): Promise<FleetMember[]> {
    await this.#connect()
    const now = this.#clock.wallTime()
    const { members } = this.#memory
    for (const [id, { at: receivedAt }] of members) if (now - receivedAt > MEMBER_EXPIRY_MS) members.delete(id)
    return [...members.values()].map(({ report, at: receivedAt }) => ({
      ...parseHeartbeat(report),
      silentMs: now - receivedAt,
    }))
  }

  onHeartbeat(listener: (report: Heartbeat) => void): () => void {
    return this.#heartbeats.add(listener)
  }

  async saveFlagBackup(flags: StoredFlagBackup): Promise<void> {
    await this.#connect()
    const { text } = flags
    if (flags.at >= (this.#memory.flags?.at ?? 0)) this.#memory.flags = { text, at: flags.at }
  }

  async loadFlagBackup(): Promise<StoredFlagBackup | undefined> {
    await this.#connect()
    return this.#memory.flags
  }

  wallTime(): number {
    return this.#clock.wallTime()
  }

  status(): StoreStatus {
    const common = { kind: 'memory', location: 'memory' } as const
    if (this.#memory.isReachable) return { ...common, isConnected: true, cutOffMs: 0, trouble: undefined }
    const now = this.#clock.now()
    this.#unreachableSince ??= now
    const cutOffMs = now - this.#unreachableSince
    return { ...common, isConnected: false, cutOffMs, trouble: 'the memory cannot be reached' }
  }

  async close(): Promise<void> {
    this.#memory.subscribers.delete(this.#subscriber)
  }

  /** Takes a turn of the event loop, as a reply over a network does, so that concurrent calls race. */
  async #connect(): Promise<void> {
    await null
    if (this.#memory.isReachable) {
      this.#unreachableSince = undefined
      return
    }
    this.#unreachableSince ??= this.#clock.now()
    throw new StoreUnavailable('the memory cannot be reached', undefined)
  }
}
