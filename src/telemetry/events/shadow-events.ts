// The events of shadow traffic and of comparisons.
import type { Events } from '../events.ts'
import { ProblemMemory } from './repeats.ts'
import type { Sinks } from './sinks.ts'

type ShadowEvents = Pick<
  Events,
  'shadowOpened' | 'shadowEnded' | 'shadowAnswered' | 'shadowThreadLost' | 'shadowNotDryRun' | 'comparisonsNotSaved'
>

export function createShadowEvents({ metrics, log }: Sinks): ShadowEvents {
  const dryRunProblems = new ProblemMemory()

  return {
    shadowOpened: ({ context, count }) => metrics.shadow.opened(context, count),
    shadowEnded: ({ context, outcome, reason, count }) => metrics.shadow.ended(context, outcome, reason, count),
    shadowAnswered: (facts) => metrics.shadow.answered(facts.context, facts.answeredBy, facts.primaryMs, facts.copyMs),
    shadowThreadLost(facts) {
      metrics.shadow.threadLost()
      log.warn(facts, 'comparing thread lost: another begins with the next comparison')
    },
    shadowNotDryRun(facts) {
      // The gateway asks the service again with each request: the same problem is logged once.
      const level = dryRunProblems.isNew(`${facts.context} ${facts.origin} ${facts.why}`) ? 'warn' : 'debug'
      log[level](facts, 'service does not take dry runs: no copy that writes is sent')
    },
    comparisonsNotSaved: ({ error }) => log.warn({ err: error }, 'comparisons cannot be written: they wait in memory'),
  }
}
