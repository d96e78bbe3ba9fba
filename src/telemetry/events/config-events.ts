// The events of the map and of the embedded gateway.
import type { Events } from '../events.ts'
import type { Sinks } from './sinks.ts'

type ConfigEvents = Pick<
  Events,
  'configApplied' | 'configDeprecated' | 'configWarned' | 'configRejected' | 'embeddingFailed'
>

export function createConfigEvents({ metrics, log }: Sinks): ConfigEvents {
  return {
    configApplied(facts) {
      metrics.configApplied(facts.edition)
      log.info(facts, 'config applied')
    },
    configDeprecated: (facts) =>
      log.warn(facts, 'config applied, and the next version refuses it: correct the mistakes'),
    configWarned: (facts) => log.warn(facts, 'config has warnings'),
    configRejected(facts) {
      metrics.configRejected()
      log.error(facts, 'config rejected: the last good one stays')
    },
    embeddingFailed: (facts) =>
      log.error(
        facts,
        'strangler() is not in use and the application answers every request: correct the map and restart',
      ),
  }
}
