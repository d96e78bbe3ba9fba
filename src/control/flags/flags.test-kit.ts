// Flags for tests of this room: made in memory, with what they reported.
import type { ClientFeaturesResponse } from 'unleash-client'
import type { Clock } from '../../model/ports.ts'
import type { Events } from '../../telemetry/events.ts'
import { Evaluator } from './evaluator.ts'
import { FlagEngine } from './flag-engine.ts'
import { FlagRepository } from './flag-repository.ts'

export type RecordedEvent = { readonly event: string; readonly facts: Record<string, unknown> }

/** Events that only remember. */
export function recordedEvents(): {
  events: Events
  told: RecordedEvent[]
  of: (event: string) => RecordedEvent['facts'][]
} {
  const told: RecordedEvent[] = []
  const remember = (_target: object, event: string) => (facts: Record<string, unknown>) => told.push({ event, facts })
  return {
    events: new Proxy({}, { get: remember }) as Events,
    told,
    of: (event) => told.filter((one) => one.event === event).map(({ facts }) => facts),
  }
}

export const realClock: Clock = { now: () => performance.now(), wallTime: () => Date.now() }

export function rollout(name: string, percent: number, stickiness = 'default'): object {
  const parameters = { rollout: String(percent), stickiness, groupId: name }
  return { name, enabled: true, strategies: [{ name: 'flexibleRollout', parameters, constraints: [] }] }
}

/** The engine over these features. */
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

/** Waits for a condition that an event loop turn away makes true; fails loudly rather than for ever. */
export async function until(holds: () => boolean, limitMs = 15_000): Promise<void> {
  const end = performance.now() + limitMs
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never came true: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
