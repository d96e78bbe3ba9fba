// Writes the 0 % of a rollback to Unleash. The pin of the rollback is in force meanwhile. While the write fails it is repeated,
// unless the context or its flag is changed after the rollback.
import type { Clock, FlagWriteResult, FlagWriter } from '../../../model/ports.ts'
import type { Context } from '../../../model/route.ts'
import type { Flip } from '../../../model/shared-state.ts'
import type { StateStore } from '../../../model/state-store.ts'
import type { Events } from '../../../telemetry/events.ts'
import { auditEntry, reportEntry } from '../../audit/audit-entry.ts'
import type { AuditRecorder } from '../../audit/audit-recorder.ts'
import { contextStateAt } from '../../context-state.ts'
import type { ChangeRequest } from '../../control.ts'
import type { PercentageBefore } from '../flag-authority.ts'
import type { Flags } from '../flags.ts'
import { isReadSince } from './read-time.ts'

export type RollbackZeroOptions = {
  readonly store: StateStore
  readonly clock: Clock
  readonly events: Events
  readonly flags: Flags
  /** Undefined without a token that may write. */
  readonly writer: FlagWriter | undefined
  readonly recorder: AuditRecorder
  /** The id of this gateway. */
  readonly gateway: string
}

type Author = Pick<ChangeRequest, 'by' | 'reason'>

type WriteAttempt = {
  readonly result: FlagWriteResult
  /** Set if the flag has another percentage than the rollback replaces: the write is dropped. */
  readonly changedTo: PercentageBefore | undefined
}

const RETRY_EVERY_MS = 5000
const CHANGED_OUTSIDE = 'the flag was changed in Unleash since the rollback'
const NO_TOKEN: FlagWriteResult = { kind: 'refused', reason: 'this gateway has no UNLEASH_ADMIN_TOKEN' }

export class RollbackZero {
  readonly #options: RollbackZeroOptions
  /** By context: the generation of the rollback whose 0 % was read from Unleash. Any later change is one made outside. */
  readonly #readZeros = new Map<string, number>()
  /** By context: the time of the last attempt, and the percentage of a flag that Unleash refuses to set. */
  readonly #attempts = new Map<string, { readonly startedAt: number; readonly refusedAt: number | null | undefined }>()

  constructor(options: RollbackZeroOptions) {
    this.#options = options
  }

  /** Whether Unleash may still lack the 0 % of the flip. Remembers that it has it as soon as it is read. */
  mayBeMissing({ name, flag }: Context, flip: Flip): boolean {
    if (!this.isPending(name, flip)) return false
    const { flags, store } = this.#options
    if (flags.percentage(flag).percentage === 0 && isReadSince(flags, store, flip.at))
      this.#readZeros.set(name, flip.generation)
    return true
  }

  /** Whether the flip is a rollback whose 0 % was never read from Unleash. */
  isPending(name: string, flip: Flip): boolean {
    return flip.byRollback === true && this.#readZeros.get(name) !== flip.generation
  }

  /**
   * Writes the 0 % directly after the rollback. Does not reject.
   *
   * @returns why the flag is not at 0 %; undefined if it is
   */
  async write(context: Context, request: Author): Promise<string | undefined> {
    const { writer } = this.#options
    const result = writer === undefined ? NO_TOKEN : (await this.#attempt(writer, context, request, undefined)).result
    if (result.kind === 'written') return undefined
    const next = result.kind === 'failed' ? ': the gateway keeps retrying' : ''
    return `the pin keeps it on legacy; its flag could not be set to 0 (${result.reason})${next}`
  }

  /**
   * Writes the 0 % of an earlier rollback. Does not reject.
   *
   * @returns the percentage of a flag that was changed in Unleash since the rollback; undefined if it was not
   */
  async retry(context: Context, flip: Flip): Promise<PercentageBefore | undefined> {
    const { flags, store, writer } = this.#options
    const { percentage } = flags.percentage(context.flag)
    if (percentage === 0) return undefined
    if (!mayReplace(flip, percentage) && isReadSince(flags, store, flip.at)) return { percentage }
    if (writer === undefined || !this.#isDue(context.name, percentage)) return undefined
    const { result, changedTo } = await this.#attempt(writer, context, flip, flip)
    if (result.kind === 'written' && result.before !== 0) await this.#record(context, flip, result.before)
    return changedTo
  }

  #isDue(name: string, percentage: number | null): boolean {
    const last = this.#attempts.get(name)
    if (last === undefined) return true
    return this.#options.clock.now() - last.startedAt >= RETRY_EVERY_MS && last.refusedAt !== percentage
  }

  /** @param pending the flip of an earlier rollback: its 0 % is written only over a percentage that the rollback replaces */
  async #attempt(
    writer: FlagWriter,
    { name, flag }: Context,
    { by, reason }: Author,
    pending: Flip | undefined,
  ): Promise<WriteAttempt> {
    const { clock, flags } = this.#options
    const { percentage } = flags.percentage(flag)
    const startedAt = clock.now()
    let changedTo: WriteAttempt['changedTo']
    let hasObjected = false
    const objection = async (current: number | null) => {
      const inStore = await this.#objectionInStore(name, pending !== undefined)
      const why = inStore ?? (pending && objectionInUnleash(pending, current))
      hasObjected = why !== undefined
      if (why === CHANGED_OUTSIDE) changedTo = { percentage: current }
      return why
    }
    this.#attempts.set(name, { startedAt, refusedAt: undefined })
    const result = await writer.setPercentage(flag, 0, { context: name, by, reason, objection })
    if (result.kind === 'written') void flags.refresh([flag])
    if (result.kind === 'refused' && !hasObjected) this.#attempts.set(name, { startedAt, refusedAt: percentage })
    return { result, changedTo }
  }

  /** While the store cannot be read, another operator may have changed the context: then only the first write is made. */
  async #objectionInStore(name: string, isRetry: boolean): Promise<string | undefined> {
    const { store } = this.#options
    const state = await store.read().catch(() => (isRetry ? undefined : store.current()))
    if (state === undefined) return 'the store cannot be read'
    const { flip } = contextStateAt(state, name, store.wallTime())
    return flip?.percentage === 0 ? undefined : 'the context was changed since'
  }

  async #record({ name, flag }: Context, { by, reason }: Flip, percentageBefore: number | null): Promise<void> {
    const { store, events, recorder, gateway } = this.#options
    const entry = auditEntry({
      at: store.wallTime(),
      actor: by,
      verb: 'rollback',
      context: name,
      before: percentageBefore,
      after: 0,
      reason,
      detail: `flag "${flag}" is at 0 in Unleash now`,
      gateway,
    })
    reportEntry(events, entry)
    await recorder.record(entry)
  }
}

function objectionInUnleash(pending: Flip, percentage: number | null): string | undefined {
  return percentage === 0 || mayReplace(pending, percentage) ? undefined : CHANGED_OUTSIDE
}

/** A rollback by a gateway of the previous version does not list the percentages that it replaces. */
function mayReplace({ replaces }: Flip, percentage: number | null): boolean {
  return replaces === undefined || replaces.includes(percentage)
}
