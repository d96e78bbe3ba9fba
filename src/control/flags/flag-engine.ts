// The evaluation of flags, which all sources share. It is unleash-client's own: a service behind the gateway that asks Unleash with
// the same context gets the same answer.
import type { FlagAnswer, FlagContext } from '../../model/decision.ts'
import type { FlagPercentage } from '../../model/ports.ts'
import type { Events } from '../../telemetry/events.ts'
import type { Evaluator } from './evaluator.ts'
import { type FlagTrace, traceFlag } from './flag-trace.ts'
import { percentageOf } from './percentage.ts'

/** Evaluates the flags that a source has read last, with unleash-client's own evaluation. */
export class FlagEngine {
  readonly #events: Events
  #evaluator: Evaluator | undefined
  #hasReportedBug = false

  constructor(events: Events) {
    this.#events = events
  }

  /** The flags in use; undefined before the first. */
  get evaluator(): Evaluator | undefined {
    return this.#evaluator
  }

  useEvaluator(evaluator: Evaluator): void {
    this.#evaluator = evaluator
    this.#hasReportedBug = false
  }

  evaluate(flag: string, context: FlagContext): FlagAnswer {
    if (this.#evaluator === undefined) return 'stale'
    try {
      return this.#evaluator.answer(flag, context)
    } catch (error) {
      this.#reportOnce(error)
      return 'off'
    }
  }

  isFullyOn(flag: string): boolean {
    return this.#evaluator?.isFullyOn(flag) ?? false
  }

  trace(flag: string, context: FlagContext): FlagTrace {
    return traceFlag(flag, context, this.#evaluator, this.evaluate(flag, context))
  }

  percentage(flag: string): FlagPercentage {
    if (this.#evaluator === undefined) return { percentage: null, why: 'was never read' }
    const feature = this.#evaluator.find(flag)
    return feature === undefined ? { percentage: null, why: 'is not there' } : percentageOf(feature)
  }

  /** Every request would report the same bug: one report for each set of flags is enough. */
  #reportOnce(error: unknown): void {
    if (this.#hasReportedBug) return
    this.#hasReportedBug = true
    this.#events.bug({ where: 'flag evaluation', error })
  }
}
