// Keeps the state of this gateway and the state in Redis equal: adopts newer states, and restores lost ones.
import { singleFlight } from '../../lib/single-flight.ts'
import type { AuditEntry } from '../../model/audit-log.ts'
import type { Clock } from '../../model/ports.ts'
import { EMPTY_STATE, type LastChange, type SharedState } from '../../model/shared-state.ts'
import { type StoreStatus, StoreUnavailable } from '../../model/state-store.ts'
import type { CachedState } from '../cached-state.ts'
import { AUDIT_LIMIT } from '../limits.ts'
import { lostEntries, mergeStates } from '../merge-states.ts'
import { createRestoreEntry } from '../restore-entry.ts'
import { parseState, serializeState } from '../state-schema.ts'
import type { RestoreResult, StoreEvents } from '../store-events.ts'
import type { ErrorReporter } from './error-reporter.ts'
import { entryOf, type LocalReplica } from './local-replica.ts'
import type { RedisClient } from './redis-client.ts'
import type { RedisClock } from './redis-clock.ts'
import { asArray, asString, asStrings } from './replies.ts'
import { LOOK, RESTORE } from './scripts.ts'

type StateReconcilerOptions = {
  readonly client: RedisClient
  readonly cache: CachedState
  readonly replica: LocalReplica
  readonly clock: Clock
  readonly redisClock: RedisClock
  readonly errors: ErrorReporter
  readonly events: StoreEvents
  readonly prefix: string
  /** The name of this gateway in the audit log. */
  readonly gateway: string
  /** Adds an entry to the audit log. */
  readonly record: (entry: AuditEntry) => Promise<void>
}

/** After a restore no gateway commits for this long: all of them reconnect within it, and the newest state wins. */
const SETTLE_MS = 1000
/** The time of a change and the time of its audit entry differ by the duration of the commit. */
const SAME_CHANGE_MS = 2000

export class StateReconciler {
  readonly #options: StateReconcilerOptions
  #restored: StoreStatus['restored']

  constructor(options: StateReconcilerOptions) {
    this.#options = options
  }

  /** The last restore by this gateway, for its status. */
  get restored(): StoreStatus['restored'] {
    return this.#restored
  }

  /** Reads Redis, adopts a newer state and restores lost data. @throws {StoreUnavailable} */
  readonly refresh: () => Promise<SharedState> = singleFlight(() => this.#refreshOnce())

  refreshSoon(): void {
    if (!this.#options.client.isClosed) this.refresh().catch(() => {})
  }

  /**
   * Adopts a state of Redis.
   *
   * @returns false if the state lacks an entry of the local state: then the two must be merged first
   */
  adoptIfComplete(text: string): boolean {
    const state = this.#parse(text)
    if (mergeStates(state, this.#options.cache.current) !== state) return false
    this.adopt(text, state)
    return true
  }

  /** Adopts a state of a higher generation. */
  adopt(text: string, state: SharedState): void {
    const { replica, cache } = this.#options
    if (state.generation <= replica.generation) return
    replica.setState(text, state)
    cache.adopt(state)
  }

  /** Receives a state that another gateway has published. @param member of the audit log; empty after a restore */
  receive(member: string, text: string): void {
    const { replica, cache } = this.#options
    const state = parseState(text)
    if (text === replica.text) return
    // The state lacks a local entry: Redis has lost data, or the message is late.
    if (mergeStates(state, cache.current) !== state) {
      this.refreshSoon()
      return
    }
    if (member !== '') replica.addEntries([member])
    this.adopt(text, state)
    void replica.save()
  }

  async #refreshOnce(): Promise<SharedState> {
    const { client, cache, replica, clock, redisClock, errors } = this.#options
    const requestedAt = clock.now()
    const requested = replica.unconfirmed
    const [seconds, micros, generation, text, dropped, missing, newer] = asArray(
      await client.run(LOOK, [String(replica.generation), replica.digest, replica.readUpTo, ...requested]),
    )
    redisClock.measure(Number(seconds) * 1000 + Number(micros) / 1000, requestedAt)
    replica.dropped = Math.max(replica.dropped, Number(dropped))
    const isUnchanged = text === '' && Number(generation) === replica.generation
    const remote = isUnchanged ? cache.current : this.#parse(asString(text))
    const merged = mergeStates(remote, cache.current)
    if (merged !== remote || Number(missing) > 0) await this.#restore(merged, remote)
    else if (text !== '') this.adopt(asString(text), remote)
    client.setStateError(undefined)
    errors.reset()
    const newerMembers = asStrings(newer)
    replica.confirm(requested, newerMembers)
    if (text !== '' || newerMembers.length > 0) void replica.save()
    return cache.current
  }

  /** Restores lost data. @param merged the local state and the state of Redis, merged entry by entry */
  async #restore(merged: SharedState, remote: SharedState): Promise<void> {
    const local = this.#options.cache.current
    const [oldGeneration, addedEntries, , text] = asArray(
      await this.#options.client.run(RESTORE, this.#restoreArguments(merged, remote)),
    )
    const isAdopted = asString(text) === '' || this.adoptIfComplete(asString(text))
    const result = {
      generation: merged.generation,
      found: Number(oldGeneration),
      entries: Number(addedEntries),
      lost: [
        ...lostEntries(local, merged, () => true),
        ...lostEntries(remote, merged, (change) => this.#isForeign(change)),
      ],
    }
    // Another gateway has changed the state meanwhile: the next refresh merges it.
    if (!isAdopted || result.found !== remote.generation) this.refreshSoon()
    if (result.found < merged.generation || result.entries > 0) this.#reportRestore(result)
  }

  #restoreArguments(merged: SharedState, remote: SharedState): string[] {
    const { replica, cache } = this.#options
    return [
      String(AUDIT_LIMIT),
      String(merged.generation),
      merged === cache.current ? replica.text : serializeState(merged),
      String(replica.dropped),
      String(SETTLE_MS),
      replica.flags?.text ?? '',
      String(replica.flags?.at ?? 0),
      String(remote.generation),
      ...replica.entries,
    ]
  }

  #reportRestore(result: RestoreResult): void {
    const { redisClock, events, gateway, record } = this.#options
    const time = redisClock.wallTime()
    const detail = describeRestore(result)
    this.#restored = { at: time, detail }
    events.restored(result)
    const entry = createRestoreEntry({
      time,
      oldState: { generation: result.found },
      newState: { generation: Math.max(result.found, result.generation), entries: result.entries },
      detail,
      gateway,
    })
    // Not awaited: recording may need a refresh, and this is part of one.
    record(entry).catch((error: unknown) =>
      events.failed(new Error('the restore could not be recorded in the audit log', { cause: error })),
    )
  }

  /** Whether the local audit log has another change of this generation: the change was made after Redis lost that one. */
  #isForeign(change: LastChange): boolean {
    return this.#options.replica.entries.some((member) => {
      const entry = entryOf(member)
      const isSame = entry.actor === change.by && Math.abs(entry.at - change.at) <= SAME_CHANGE_MS
      return entry.generation === change.generation && !isSame
    })
  }

  /** @throws {StoreUnavailable} */
  #parse(text: string): SharedState {
    if (text === '') return EMPTY_STATE
    const { client, errors, prefix } = this.#options
    try {
      return parseState(text)
    } catch (error) {
      const reason = `the state in Redis under {${prefix}}:state cannot be read; delete that key, and the gateways restore their state`
      client.setStateError(reason)
      errors.report(new Error(reason, { cause: error }))
      throw new StoreUnavailable(reason, error)
    }
  }
}

function describeRestore({ generation, found: oldGeneration, entries, lost }: RestoreResult): string {
  const condition = oldGeneration === 0 ? 'empty' : `with generation ${oldGeneration}`
  const replaced = lost.length === 0 ? '' : `; later changes have replaced these, review them: ${lost.join(', ')}`
  return `Redis returned ${condition}; this gateway restored generation ${generation} and ${entries} entries of the audit log${replaced}`
}
