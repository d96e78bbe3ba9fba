// Creates changes for the tests of the stores.
import type { AuditEntry } from '../../src/model/audit-log.ts'
import type { Heartbeat } from '../../src/model/fleet.ts'
import { EMPTY_CONTEXT, type SharedState, type Stamp } from '../../src/model/shared-state.ts'

/** The next state, with a flip of a context. */
export function flipped(state: SharedState, percentage: number, by = 'ada', context = 'catalog'): SharedState {
  const generation = state.generation + 1
  const stamp: Stamp = { by, reason: 'canary', at: 1000 + generation }
  const changed = { ...stamp, verb: 'flip', generation } as const
  const flip = { ...stamp, flag: `migrate-${context}`, percentage, generation }
  const previous = state.contexts[context] ?? EMPTY_CONTEXT
  return { ...state, generation, contexts: { ...state.contexts, [context]: { ...previous, flip, changed } } }
}

/** The audit entry of the change that made a state. */
export function entryOf(state: SharedState, by = 'ada', context = 'catalog'): AuditEntry {
  return {
    at: 1000 + state.generation,
    actor: by,
    address: '10.0.0.9',
    verb: 'flip',
    context,
    before: null,
    after: state.contexts[context]?.flip?.percentage ?? null,
    reason: 'canary',
    until: null,
    result: 'done',
    detail: null,
    generation: state.generation,
    gateway: 'gateway-1',
  }
}

export function refusal(detail: string, context: string | null = 'catalog'): AuditEntry {
  return { ...entryOf({ generation: 0, kill: null, contexts: {}, flags: null }), context, result: 'refused', detail }
}

export function reportOf(id: string, applied = 0): Heartbeat {
  return {
    id,
    version: '0.1.0',
    address: 'http://10.0.0.7:8081',
    startedAt: 1,
    applied,
    percentages: { catalog: 25, orders: null },
    flags: { source: 'flags.json', stale: false, ageMs: 10 },
    localKill: [],
    inFlight: { catalog: { legacy: 0, service: 1 } },
    lastMinute: { catalog: { legacy: 3, service: 1 } },
  }
}
