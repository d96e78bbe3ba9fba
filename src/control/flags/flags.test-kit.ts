// Flags for tests: made in memory, with recorded events.
import type { ClientFeaturesResponse } from 'unleash-client'
import type { Clock } from '../../model/ports.ts'
import type { Events } from '../../telemetry/events.ts'
import { Evaluator } from './evaluator.ts'
import { FlagEngine } from './flag-engine.ts'
import { FlagRepository } from './flag-repository.ts'

type RecordedEvent = { readonly event: string; readonly facts: Record<string, unknown> }

/** Events that only record their calls. */
export function recordedEvents(): {
  events: Events
  recorded: RecordedEvent[]
  of: (event: string) => RecordedEvent['facts'][]
} {
  const recorded: RecordedEvent[] = []
  const record = (_target: object, event: string) => (facts: Record<string, unknown>) => recorded.push({ event, facts })
  return {
    events: new Proxy({}, { get: record }) as Events,
    recorded,
    of: (event) => recorded.filter((call) => call.event === event).map(({ facts }) => facts),
  }
}

export const realClock: Clock = { now: () => performance.now(), wallTime: () => Date.now() }

export function rollout(name: string, percent: number, stickiness = 'default'): object {
  const parameters = { rollout: String(percent), stickiness, groupId: name }
  return { name, enabled: true, strategies: [{ name: 'flexibleRollout', parameters, constraints: [] }] }
}

/** An engine with these features in use. */
export function engineOf(features: readonly object[], segments: readonly object[] = []): FlagEngine {
  const { events } = recordedEvents()
  const engine = new FlagEngine(events)
  engine.useEvaluator(evaluatorOf(features, segments))
  return engine
}

export function evaluatorOf(features: readonly object[], segments: readonly object[] = []): Evaluator {
  const repository = new FlagRepository({ version: 2, features, segments } as unknown as ClientFeaturesResponse)
  return new Evaluator(
    { appName: 'strangler-gateway', url: 'http://unleash.invalid/api/', disableMetrics: true, repository },
    { onError: () => {}, onSideError: () => {} },
  )
}

/** Waits until the condition holds. @throws {Error} after `limitMs` milliseconds */
export async function until(holds: () => boolean, limitMs = 15_000): Promise<void> {
  const end = performance.now() + limitMs
  while (!holds()) {
    if (performance.now() > end) throw new Error(`did not hold within ${limitMs} ms: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
