// Records changes that were made in Unleash itself, outside the control plane, and repeats the pending writes of rollbacks.
import { BUILT_IN_ACTORS } from '../../../model/built-in-actors.ts'
import type { Context } from '../../../model/route.ts'
import { EMPTY_CONTEXT, type Flip, type SharedState } from '../../../model/shared-state.ts'
import { auditEntry, reportEntry } from '../../audit/audit-entry.ts'
import { contextStateAt } from '../../context-state.ts'
import { SETTLED_MS } from '../../fleet/expected-percentages.ts'
import { isReadSince } from './read-time.ts'
import type { RollbackZero, RollbackZeroOptions } from './rollback-zero.ts'

type OutsideChangesOptions = Omit<RollbackZeroOptions, 'writer' | 'recorder'> & {
  readonly contexts: () => ReadonlyMap<string, Context>
  readonly zero: RollbackZero
}

const CHECK_EVERY_MS = 1000
/** Flags are fetched rather than waited for, but not all the time while Unleash is down. */
const FETCH_EVERY_MS = 3000
const ACTOR = BUILT_IN_ACTORS.unleash

export class OutsideChanges {
  readonly #options: OutsideChangesOptions
  #timer: NodeJS.Timeout | undefined
  #isChecking = false
  #fetchedAt = Number.NEGATIVE_INFINITY
  /** By context: a percentage that is not the one on record, and since when it is read. */
  readonly #deviations = new Map<string, { readonly percentage: number | null; readonly since: number }>()
  /** By context: the percentage that was read first, while no flip is on record. */
  readonly #initial = new Map<string, number | null>()

  constructor(options: OutsideChangesOptions) {
    this.#options = options
  }

  start(): void {
    this.#timer = setInterval(() => void this.#check(), CHECK_EVERY_MS)
    this.#timer.unref()
    void this.#check()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** One check at a time: Unleash may take longer than a second. */
  async #check(): Promise<void> {
    const { flags, contexts } = this.#options
    if (this.#isChecking || flags.status().stale) return
    this.#isChecking = true
    for (const context of contexts().values()) await this.#checkContext(context)
    this.#isChecking = false
  }

  async #checkContext(context: Context): Promise<void> {
    const { store, flags, zero } = this.#options
    const { flip } = contextStateAt(store.current(), context.name, store.wallTime())
    if (flip !== null && zero.mayBeMissing(context, flip)) {
      const changedTo = await zero.retry(context, flip)
      if (changedTo !== undefined) await this.#record(context, changedTo.percentage).catch(() => {})
    } else if (this.#hasSettled(context)) {
      await this.#record(context, flags.percentage(context.flag).percentage).catch(() => {})
    }
  }

  /** Whether the flag has had another percentage than the one on record for so long that it is no flip in progress. */
  #hasSettled({ name, flag }: Context): boolean {
    const { store, clock, flags } = this.#options
    const { percentage } = flags.percentage(flag)
    const { flip, changed } = contextStateAt(store.current(), name, store.wallTime())
    if (!this.#initial.has(name)) this.#initial.set(name, percentage)
    // It is on record that no single percentage describes the flag.
    if (flip === null && changed?.verb === 'outside') this.#initial.set(name, null)
    if (percentage === (flip?.percentage ?? this.#initial.get(name))) {
      this.#deviations.delete(name)
      return false
    }
    const deviation = this.#deviations.get(name)
    if (deviation === undefined || deviation.percentage !== percentage) {
      this.#deviations.set(name, { percentage, since: clock.now() })
      return false
    }
    if (clock.now() - deviation.since < SETTLED_MS) return false
    if (isReadSince(flags, store, Math.max(flip?.at ?? 0, changed?.at ?? 0))) return true
    this.#fetchFlags()
    return false
  }

  /** The next poll may be 15 seconds away. */
  #fetchFlags(): void {
    const { clock, flags } = this.#options
    if (clock.now() - this.#fetchedAt < FETCH_EVERY_MS) return
    this.#fetchedAt = clock.now()
    void flags.refresh()
  }

  /** Every gateway reads the change. The first one commits it, and the others find it on record. */
  async #record({ name, flag }: Context, percentage: number | null): Promise<void> {
    const { store, events, zero, gateway } = this.#options
    const state = await store.read()
    const current = contextStateAt(state, name, store.wallTime())
    const pending = current.flip !== null && zero.isPending(name, current.flip) ? current.flip : undefined
    const previous =
      pending === undefined ? (current.flip?.percentage ?? this.#initial.get(name) ?? null) : replaced(pending)
    if (pending === undefined && percentage === previous) return
    const now = store.wallTime()
    const stamp = { by: ACTOR, reason: null, at: now }
    const generation = state.generation + 1
    const flip = percentage === null ? null : { ...stamp, flag, percentage, generation }
    const changed = { ...stamp, verb: 'outside' as const, generation }
    const next = withContext(state, name, { ...EMPTY_CONTEXT, ...current, flip, changed })
    const entry = auditEntry({
      at: now,
      actor: ACTOR,
      verb: 'outside',
      context: name,
      before: previous,
      after: percentage,
      detail: `flag "${flag}" was changed in Unleash itself${droppedWrite(pending)}`,
      generation,
      gateway,
    })
    const committed = await store.commit(next, entry)
    if (!committed.ok) return
    this.#initial.set(name, percentage)
    reportEntry(events, entry)
  }
}

function droppedWrite(pending: Flip | undefined): string {
  return pending === undefined ? '' : `; the pending write of 0 % for the rollback by ${pending.by} is dropped`
}

function replaced({ replaces }: Flip): number | null {
  return replaces?.[0] ?? null
}

function withContext(state: SharedState, name: string, context: SharedState['contexts'][string]): SharedState {
  return { ...state, generation: state.generation + 1, contexts: { ...state.contexts, [name]: context } }
}
