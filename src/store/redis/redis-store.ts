// Shared state in Redis, for a fleet. Each gateway has a replica of the state: it continues with the replica while Redis
// cannot be reached, and restores Redis from the replica if Redis has lost data.
import { hostname } from 'node:os'
import type { ConnectionOptions } from 'node:tls'
import type { AuditEntry, AuditPage, AuditQuery, ChainReport } from '../../model/audit-log.ts'
import type { ComparisonStore } from '../../model/comparison-store.ts'
import type { FleetMember, Heartbeat } from '../../model/fleet.ts'
import type { Clock } from '../../model/ports.ts'
import type { SharedState, StoredFlagBackup } from '../../model/shared-state.ts'
import type { CommitResult, StoreStatus } from '../../model/state-store.ts'
import type { Store } from '../../model/store.ts'
import { verifyHistory } from '../audit-chain.ts'
import { CachedState } from '../cached-state.ts'
import { MEMBER_EXPIRY_MS } from '../limits.ts'
import { parseHeartbeat } from '../state-schema.ts'
import { NO_EVENTS, type StoreEvents } from '../store-events.ts'
import { ErrorReporter } from './error-reporter.ts'
import { LocalReplica } from './local-replica.ts'
import { RedisAuditLog } from './redis-audit-log.ts'
import { RedisClient } from './redis-client.ts'
import { RedisClock } from './redis-clock.ts'
import { RedisComparisons } from './redis-comparisons.ts'
import { RedisFleet } from './redis-fleet.ts'
import { parseRedisUrl } from './redis-url.ts'
import { RedisWriter } from './redis-writer.ts'
import { asArray, asString } from './replies.ts'
import { KEEP_FLAGS, KEPT_FLAGS } from './scripts.ts'
import { StateReconciler } from './state-reconciler.ts'

export type RedisStoreOptions = {
  /** In one of the forms that {@link parseRedisUrl} lists. */
  readonly url: string
  /** All keys begin with this text in braces. One fleet uses one prefix. `strangler` if not given. */
  readonly prefix?: string
  /** The folder in which the last state survives a restart; the state is only in memory if not given. */
  readonly stateDir?: string
  /** The name of this gateway in the audit log; the host's name if not given. */
  readonly gateway?: string
  /** Whether an operator gave this gateway its name. Otherwise `gateway` is the host's name and random digits. */
  readonly isNamed?: boolean
  readonly clock: Clock
  readonly events?: StoreEvents
  /** A gateway that has sent no heartbeat for this long is removed, in milliseconds; 15 minutes if not given. */
  readonly forgetAfterMs?: number
  /** The limit of each command, in milliseconds; 1500 if not given. */
  readonly limitMs?: number
  /** Additional TLS options, such as a private certificate authority. */
  readonly tls?: ConnectionOptions
}

/** Redis is read this often: a message that was lost is replaced within this time. */
const REFRESH_MS = 1000
/** The times of the last heartbeats are written to the disk this often. */
const SAVE_MEMBERS_MS = 60_000

/**
 * The state in a Redis, a Redis watched by Sentinels, or a Redis Cluster.
 *
 * Redis keeps the newest 10,000 entries of the audit log and counts the removed ones. A `commit` or `record` that was
 * rejected never happens afterwards: Redis refuses a write that arrives after the caller has given up.
 *
 * If Redis returns empty or with an older state, the store restores the highest generation and up to 1000 entries.
 */
export class RedisStore implements Store {
  readonly comparisons: ComparisonStore
  readonly #options: RedisStoreOptions
  readonly #clock: Clock
  readonly #events: StoreEvents
  readonly #gateway: string
  readonly #cache: CachedState
  readonly #replica: LocalReplica
  readonly #redisClock: RedisClock
  readonly #errors: ErrorReporter
  readonly #client: RedisClient
  readonly #reconciler: StateReconciler
  readonly #writer: RedisWriter
  readonly #auditLog: RedisAuditLog
  readonly #fleet: RedisFleet
  #timer: NodeJS.Timeout | undefined
  #membersSavedAt: number
  #folderLost: StoreStatus['folderLost']

  /** Opens no connection yet. @throws {InvalidRedisUrl} */
  constructor(options: RedisStoreOptions) {
    const { clock, events = NO_EVENTS, gateway = hostname(), prefix = 'strangler' } = options
    const { url, stateDir, limitMs = 1500, forgetAfterMs = MEMBER_EXPIRY_MS, tls } = options
    const address = parseRedisUrl(url)
    const redisClock = new RedisClock(clock)
    const cache = new CachedState(events.failed)
    const replica = new LocalReplica(stateDir, events)
    const errors = new ErrorReporter(events.failed)
    const onReady = () => this.#onReady()
    const onMessage = (message: string) => this.#onMessage(message)
    const client = new RedisClient({ connection: { address, prefix, limitMs, tls, onReady, onMessage }, clock, events })
    const shared = { client, cache, replica, clock, redisClock, errors, events }
    const record = (entry: AuditEntry) => this.record(entry)
    const reconciler = new StateReconciler({ ...shared, prefix, gateway, record })
    const writer = new RedisWriter({ ...shared, reconciler })
    this.#options = options
    this.#clock = clock
    this.#events = events
    this.#gateway = gateway
    this.#cache = cache
    this.#replica = replica
    this.#redisClock = redisClock
    this.#errors = errors
    this.#client = client
    this.#reconciler = reconciler
    this.#writer = writer
    this.#auditLog = new RedisAuditLog(client, errors)
    this.#fleet = new RedisFleet({ ...shared, forgetAfterMs })
    this.#membersSavedAt = clock.now()
    this.comparisons = new RedisComparisons({ client, writer, prefix, reportError: events.failed })
  }

  async start(): Promise<void> {
    const last = await this.#replica.load()
    if (last !== undefined) this.#cache.adopt(last)
    this.#client.open()
    await this.#reconciler.refresh().catch(() => {})
    if (last === undefined && this.#options.stateDir !== undefined) await this.#reportLostFolder().catch(() => {})
    this.#refreshLater()
  }

  current(): SharedState {
    return this.#cache.current
  }

  read(): Promise<SharedState> {
    return this.#reconciler.refresh()
  }

  commit(next: SharedState, entry: AuditEntry): Promise<CommitResult> {
    return this.#writer.commit(next, entry)
  }

  record(entry: AuditEntry): Promise<void> {
    return this.#writer.record(entry)
  }

  history(query: AuditQuery): Promise<AuditPage> {
    return this.#auditLog.page(query)
  }

  verifyHistory(): Promise<ChainReport> {
    return verifyHistory((query) => this.#auditLog.page(query))
  }

  onChange(listener: (state: SharedState) => void): () => void {
    return this.#cache.onChange(listener)
  }

  sendHeartbeat(report: Heartbeat): Promise<void> {
    return this.#fleet.sendHeartbeat(report)
  }

  removeMember(id: string): Promise<void> {
    return this.#fleet.remove(id)
  }

  fleet(): Promise<FleetMember[]> {
    return this.#fleet.list()
  }

  onHeartbeat(listener: (report: Heartbeat) => void): () => void {
    return this.#fleet.onHeartbeat(listener)
  }

  async saveFlagBackup(flags: StoredFlagBackup): Promise<void> {
    const { text } = flags
    if (flags.at >= (this.#replica.flags?.at ?? 0)) this.#replica.flags = { text, at: flags.at }
    await this.#client.run(KEEP_FLAGS, [text, String(flags.at)])
  }

  async loadFlagBackup(): Promise<StoredFlagBackup | undefined> {
    const [text, time] = asArray(await this.#client.run(KEPT_FLAGS, []))
    return text === '' ? undefined : { text: asString(text), at: Number(time) }
  }

  wallTime(): number {
    return this.#redisClock.wallTime()
  }

  status(): StoreStatus {
    return { ...this.#client.status(), restored: this.#reconciler.restored, folderLost: this.#folderLost }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#client.close()
    await this.#replica.close()
  }

  #refreshLater(): void {
    if (this.#client.isClosed) return
    this.#timer = setTimeout(async () => {
      await Promise.all([this.#reconciler.refresh().catch(() => {}), this.#client.checkSubscriber()])
      this.#saveMembers()
      this.#refreshLater()
    }, REFRESH_MS).unref()
  }

  #saveMembers(): void {
    const now = this.#clock.now()
    if (now - this.#membersSavedAt <= SAVE_MEMBERS_MS || this.#replica.members.size === 0) return
    this.#membersSavedAt = now
    void this.#replica.save()
  }

  #onReady(): void {
    this.#redisClock.distrust()
    this.#reconciler.refreshSoon()
  }

  #onMessage(message: string): void {
    const [kind, ...fields] = message.split('\n')
    try {
      if (kind === 'report') this.#fleet.receiveHeartbeat(parseHeartbeat(fields[0] ?? ''))
      else if (kind === 'left') this.#fleet.receiveRemoval(fields[0] ?? '')
      else if (kind === 'state') this.#reconciler.receive(fields[1] ?? '', fields[2] ?? '')
    } catch (error) {
      this.#errors.report(new Error('a message in Redis cannot be read', { cause: error }))
    }
  }

  async #reportLostFolder(): Promise<void> {
    const { generation } = this.#cache.current
    if (generation === 0) return
    if (!(await this.#fleet.hasPredecessor(this.#gateway, this.#options.isNamed ?? false))) return
    this.#folderLost = { at: this.#redisClock.wallTime(), generation }
    this.#events.folderLost?.(generation)
  }
}
