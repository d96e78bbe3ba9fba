// Executes a change: reads the shared state, computes the next one, commits it, applies it, and waits until the fleet has applied it.
import { join } from 'node:path'
import { withTimeout } from '../lib/timeout.ts'
import type { Clock } from '../model/ports.ts'
import type { Context } from '../model/route.ts'
import type { SharedState } from '../model/shared-state.ts'
import { type StateStore, StoreUnavailable } from '../model/state-store.ts'
import type { ChangeAudit } from './audit/change-audit.ts'
import { applyChange } from './commands/apply-change.ts'
import {
  type Change,
  type ChangeOf,
  type ContextTarget,
  joinNotes,
  type Transition,
  type TransitionFacts,
} from './commands/change.ts'
import { conflictOf, lastGeneration } from './commands/conflict.ts'
import { expectedAfter } from './commands/expected-convergence.ts'
import { contextStateAt } from './context-state.ts'
import type { ChangeRequest, ChangeResult } from './control.ts'
import type { ContextFlag, FlagAuthority, FlagWrite, PercentageBefore } from './flags/flag-authority.ts'
import type { Fleet } from './fleet/fleet.ts'
import type { StateApplier } from './fleet/state-applier.ts'

type ChangeExecutorOptions = {
  readonly store: StateStore
  readonly clock: Clock
  readonly authority: FlagAuthority
  readonly audit: ChangeAudit
  readonly applier: StateApplier
  readonly fleet: Fleet
  readonly stateDir: string
}

type Applicable = Exclude<Transition, { kind: 'refused' }>
type Committed = { readonly kind: 'committed'; readonly generation: number; readonly transition: Applicable }

/** Other operators may commit changes of other contexts in between, but not so many. */
const MOST_ATTEMPTS = 20
/** The pin of a rollback is in force: its result does not wait longer for the flag. */
const ZERO_LIMIT_MS = 1000
const ZERO_PENDING =
  'the pin keeps it on legacy; its flag is not at 0 yet, as Unleash does not answer: the gateway keeps retrying'

export class ChangeExecutor {
  readonly #options: ChangeExecutorOptions

  constructor(options: ChangeExecutorOptions) {
    this.#options = options
  }

  /** @param context of the change, as configured; undefined for `kill` and `revive`. Never rejects for an unreachable store */
  async execute(change: Change, context: Context | undefined, request: ChangeRequest): Promise<ChangeResult> {
    try {
      if (context === undefined) return await this.#commitAndFinish(change, undefined, request)
      if (change.verb === 'flip') return await this.#flip(change, context, request)
      if (change.verb === 'rollback') return await this.#rollback(change, context, request)
      return await this.#commitAndFinish(change, context, request)
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      const consequence = error instanceof UncertainOutcome ? error.consequence : 'nothing was changed'
      const why = `the store cannot be reached (${error.message}); ${consequence}${this.#alternative(change)}`
      this.#options.audit.recordLater(change, request, { result: 'failed', detail: why })
      return { kind: 'unavailable', why }
    }
  }

  /** Records a refusal. */
  async refuse(
    change: Parameters<ChangeAudit['record']>[0],
    request: ChangeRequest,
    why: string,
  ): Promise<ChangeResult> {
    await this.#options.audit.record(change, request, { result: 'refused', detail: why })
    return { kind: 'refused', why }
  }

  async #commitAndFinish(change: Change, context: Context | undefined, request: ChangeRequest): Promise<ChangeResult> {
    const startedAt = this.#options.clock.now()
    const committed = await this.#commit(change, context, request)
    return committed.kind === 'committed' ? this.#finish(committed, change, startedAt) : committed
  }

  /** The flag precedes the commit: only a percentage that the authority has accepted is put on record. */
  async #flip(change: ChangeOf<'flip'>, context: Context, request: ChangeRequest): Promise<ChangeResult> {
    const { store, clock, authority } = this.#options
    const startedAt = clock.now()
    const state = await store.read()
    const expected = request.ifGeneration ?? lastGeneration(state, change)
    const transition = await this.#transition(state, change, this.#targetIn(state, context), request, expected)
    if (!isApplicable(transition)) return transition
    const write = await authority.writePercentage(context, change.percentage, request)
    if (write.kind !== 'written') return this.#writeFailed(write, state, change, request)
    const { note, remainder } = write
    const checked = { ...request, ifGeneration: expected }
    const committed = await this.#commit(change, context, checked, write.before).catch((error: unknown) =>
      throwWith(remainder, error),
    )
    if (committed.kind === 'committed') return withNote(await this.#finish(committed, change, startedAt), note)
    if (remainder === undefined || !('why' in committed)) return committed
    return { ...committed, why: `${committed.why}. ${remainder}` }
  }

  /** The pin precedes the flag: it needs no authority, and is in force before one is asked. */
  async #rollback(change: Change, context: Context, request: ChangeRequest): Promise<ChangeResult> {
    const { clock, authority } = this.#options
    const startedAt = clock.now()
    const committed = await this.#commit(change, context, request)
    if (committed.kind !== 'committed') return committed
    const zero = authority.writeZero(context, request)
    const result = await this.#finish(committed, change, startedAt)
    return withNote(result, await withTimeout(ZERO_LIMIT_MS, zero, ZERO_PENDING))
  }

  async #commit(
    change: Change,
    context: Context | undefined,
    request: ChangeRequest,
    percentageBefore?: PercentageBefore,
  ): Promise<Committed | ChangeResult> {
    const { store, audit, applier } = this.#options
    let state = await store.read()
    const expected = request.ifGeneration ?? lastGeneration(state, change)
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const target = this.#targetIn(state, context, percentageBefore)
      const transition = await this.#transition(state, change, target, request, expected)
      if (!isApplicable(transition)) return transition
      if (transition.kind === 'unchanged') return { kind: 'committed', generation: state.generation, transition }
      const { kind: _, next, note: detail, ...values } = transition
      const { generation } = next
      const entry = audit.entry(change, request, { ...values, detail, generation })
      const committed = await store.commit(next, entry).catch((error: unknown) => throwWith(UNKNOWN_OUTCOME, error))
      if (committed.ok) {
        audit.report(entry)
        applier.apply(next)
        await this.#recordDroppedZero(state, next, change, target, request)
        return { kind: 'committed', generation, transition }
      }
      state = committed.conflict
    }
    return {
      kind: 'unavailable',
      why: 'other changes of the shared state were committed first: try again. Nothing was changed',
    }
  }

  /** Records a refusal or a conflict. @param expected the generation of the last change that the caller has seen */
  async #transition(
    state: SharedState,
    change: Change,
    target: ContextTarget | undefined,
    request: ChangeRequest,
    expected: number,
  ): Promise<Applicable | ChangeResult> {
    const conflict = conflictOf(state, change, expected)
    if (conflict !== undefined) return this.#conflict(conflict, state, change, request)
    const stamp = { by: request.by, reason: request.reason, at: this.#options.store.wallTime() }
    const transition = applyChange(state, change, { stamp, target })
    return transition.kind === 'refused' ? this.refuse(change, request, transition.why) : transition
  }

  async #finish({ generation, transition }: Committed, change: Change, startedAt: number): Promise<ChangeResult> {
    const context = 'context' in change ? change.context : null
    const convergence = await this.#options.fleet.converge(expectedAfter(change, generation), startedAt)
    return { kind: 'done', verb: change.verb, context, generation, convergence, ...factsOf(transition) }
  }

  async #writeFailed(
    { kind, why }: Exclude<FlagWrite, { kind: 'written' }>,
    state: SharedState,
    change: Change,
    request: ChangeRequest,
  ): Promise<ChangeResult> {
    if (kind === 'refused') return this.refuse(change, request, why)
    if (kind === 'conflict') return this.#conflict(why, state, change, request)
    await this.#options.audit.record(change, request, { result: 'failed', detail: why })
    return { kind: 'unavailable', why }
  }

  async #conflict(why: string, state: SharedState, change: Change, request: ChangeRequest): Promise<ChangeResult> {
    await this.#options.audit.record(change, request, { result: 'conflict', detail: why })
    return { kind: 'conflict', why, generation: lastGeneration(state, change) }
  }

  /** A later change of the context cancels the 0 % of a rollback that Unleash does not have yet. */
  async #recordDroppedZero(
    state: SharedState,
    next: SharedState,
    { verb }: Change,
    target: ContextTarget | undefined,
    { by }: ChangeRequest,
  ): Promise<void> {
    if (target === undefined) return
    const { name, flag } = target.context
    const pending = contextStateAt(state, name, 0).flip
    const { flip } = contextStateAt(next, name, 0)
    if (pending === null || !target.flag.isZeroPending(pending) || flip?.generation === pending.generation) return
    const detail = `the pending write of 0 % to flag "${flag}" in Unleash is dropped: ${verb} by ${by} came after the rollback`
    const rollback = { verb: 'rollback', context: name } as const
    const request = { by: pending.by, address: null, reason: pending.reason }
    await this.#options.audit.record(rollback, request, { result: 'failed', detail })
  }

  #targetIn(state: SharedState, context: Context, percentageBefore?: PercentageBefore): ContextTarget
  #targetIn(
    state: SharedState,
    context: Context | undefined,
    percentageBefore?: PercentageBefore,
  ): ContextTarget | undefined
  #targetIn(
    state: SharedState,
    context: Context | undefined,
    percentageBefore?: PercentageBefore,
  ): ContextTarget | undefined {
    if (context === undefined) return undefined
    const flag: ContextFlag = this.#options.authority.contextFlag(state, context, percentageBefore)
    return { context, flag }
  }

  /** How an operator can send the context to legacy without the store. */
  #alternative(change: Change): string {
    const isToLegacy = change.verb === 'rollback' || (change.verb === 'pin' && change.side === 'legacy')
    if (!isToLegacy) return ''
    const file = join(this.#options.stateDir, 'kill')
    return `. Without it, on each gateway by itself: write ${change.context} into the file ${file} there`
  }
}

function isApplicable(transition: Applicable | ChangeResult): transition is Applicable {
  return transition.kind === 'change' || transition.kind === 'unchanged'
}

function factsOf(transition: Applicable): TransitionFacts {
  if (transition.kind === 'unchanged')
    return { before: transition.value, after: transition.value, until: null, note: transition.note }
  const { kind: _, next: __, ...facts } = transition
  return facts
}

function withNote(result: ChangeResult, note: string | undefined): ChangeResult {
  return result.kind === 'done' ? { ...result, note: joinNotes(result.note, note) } : result
}

const UNKNOWN_OUTCOME = 'the change may have been made: check the status before you repeat it'

/** The store became unreachable during a change: `consequence` is what may have been changed. */
class UncertainOutcome extends StoreUnavailable {
  readonly consequence: string

  constructor(consequence: string, cause: StoreUnavailable) {
    super(cause.message, cause)
    this.consequence = consequence
  }
}

function throwWith(consequence: string | undefined, error: unknown): never {
  if (consequence === undefined || !(error instanceof StoreUnavailable)) throw error
  throw new UncertainOutcome(consequence, error)
}
