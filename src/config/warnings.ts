// Warnings: the map can be used, but one of its keys probably does not do what the operator expects.
import { at, type Report } from './mistake.ts'
import type { ValidContext } from './valid-config.ts'

/** Reports combinations of valid keys that contradict each other. */
export function warnOfContexts(contexts: readonly ValidContext[], warn: Report): void {
  for (const { name, fallback, rollback } of contexts) {
    if (fallback !== 'all' || rollback !== 'forward-only') continue
    const message =
      'gives writes to legacy while the service cannot be reached, but rollback: "forward-only" states that legacy must not take over; write fallback: "reads" or false'
    warn({ path: at(at('contexts', name), 'fallback'), found: '"all"', message })
  }
}
