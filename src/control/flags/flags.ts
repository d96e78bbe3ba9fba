// Flags: one engine, unleash-client's own evaluation, over two sources (file-flags.ts, unleash-flags.ts). A service
// behind the gateway that asks Unleash with the same context gets the same answer.
import type { FlagAnswer, FlagContext } from '../../model/decision.ts'
import type { FileRejection } from '../../model/file-rejection.ts'
import type { FlagPercentage, FlagReader } from '../../model/ports.ts'
import type { Events } from '../../telemetry/events.ts'
import { percentageOf } from '../commands/percentage.ts'
import type { Evaluator } from './evaluator.ts'
import { type FlagTrace, traceFlag } from './flag-trace.ts'

export type Flags = FlagReader & {
  /** Never rejects; without flags the answer is `stale` until there are some. */
  readonly start: () => Promise<void>
  readonly stop: () => Promise<void>
  /**
   * Reads the flags now: what was changed before the call is in use when it resolves, or `status` says why not. Never
   * rejects. @param changed flags that are known to have changed: only these are read at once, the others soon after
   */
  readonly refresh: (changed?: readonly string[]) => Promise<void>
  /** What one number says of the flag that is in use. */
  readonly percentage: (flag: string) => FlagPercentage
  readonly status: () => FlagStatus
  /** How the answer comes about: for `explain`. */
  readonly trace: (flag: string, context: FlagContext) => FlagTrace
}

export type FlagStatus = {
  readonly source: 'file' | 'unleash'
  /** The file, or the URL without credentials. */
  readonly location: string
  readonly flags: number
  /** How long the flags in use may have been out of date; undefined while none were ever read. */
  readonly ageMs: number | undefined
  /** No flags were ever read: everything is legacy. */
  readonly stale: boolean
  /** Why the flags could not be read the last time; undefined if they could. */
  readonly trouble: string | undefined
  /** The trouble is that Unleash does not accept the token: somebody must act, waiting does not help. */
  readonly isRefused: boolean
  /** The flags file on disk, if its content was rejected. */
  readonly rejection?: FileRejection | undefined
}

/** Answers from whatever flags a source last gave it. */
export type FlagEngine = Omit<FlagReader, 'isOlderThan'> &
  Pick<Flags, 'trace' | 'percentage'> & {
    readonly use: (evaluator: Evaluator) => void
    readonly current: () => Evaluator | undefined
  }

export function flagEngine(events: Events): FlagEngine {
  let current: Evaluator | undefined
  let hasReportedBug = false

  return { evaluate: ask, isFullyOn, trace, percentage, use, current: () => current }

  function ask(flag: string, context: FlagContext): FlagAnswer {
    if (current === undefined) return 'stale'
    try {
      return current.answer(flag, context)
    } catch (error) {
      reportOnce(error)
      return 'off'
    }
  }

  function isFullyOn(flag: string): boolean {
    return current?.isFullyOn(flag) ?? false
  }

  function trace(flag: string, context: FlagContext): FlagTrace {
    return traceFlag(flag, context, current, ask(flag, context))
  }

  function percentage(flag: string): FlagPercentage {
    if (current === undefined) return { percentage: null, why: 'was never read' }
    const feature = current.find(flag)
    return feature === undefined ? { percentage: null, why: 'is not there' } : percentageOf(feature)
  }

  function use(evaluator: Evaluator): void {
    current = evaluator
    hasReportedBug = false
  }

  /** Every request would meet it: once per set of flags is enough. */
  function reportOnce(error: unknown): void {
    if (hasReportedBug) return
    hasReportedBug = true
    events.bug({ where: 'flag evaluation', error })
  }
}
