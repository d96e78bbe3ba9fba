// Shared by the tests of the control plane: contexts, stamps, flags, and a manual clock.
import type { Context } from '../model/route.ts'
import type { EmbeddedFlags, SharedState, Stamp } from '../model/shared-state.ts'
import { EMPTY_STATE } from '../model/shared-state.ts'
import { applyChange } from './commands/apply-change.ts'
import type { Change, Transition } from './commands/change.ts'
import { embeddedContextFlag } from './flags/embedded/embedded-context-flag.ts'
import { rolloutAt } from './flags/flag-rules.test-kit.ts'
import { unleashContextFlag } from './flags/unleash/unleash-context-flag.ts'

export function contextNamed(name: string, more: Partial<Context> = {}): Context {
  return {
    name,
    owner: `team ${name}`,
    flag: `${name}-flag`,
    service: { name: `${name}-service` } as Context['service'],
    fallback: 'reads',
    whenStale: 'hold',
    staleAfterMs: 60_000,
    rollback: 'allowed',
    ...more,
  }
}

export function stampAt(time: number, by = 'anna', reason: string | null = null): Stamp {
  return { by, reason, at: time }
}

export type TestInput = {
  readonly stamp: Stamp
  /** Undefined for `kill` and `revive`. */
  readonly context: Context | undefined
  /** The percentage that Unleash has; undefined for embedded flags. */
  readonly unleash: { readonly percentage: number | null } | undefined
}

/** The transition with the flag of either authority. */
export function transitionOf(state: SharedState, change: Change, { stamp, context, unleash }: TestInput): Transition {
  if (context === undefined) return applyChange(state, change, { stamp, target: undefined })
  const { flag: name } = context
  const flag =
    unleash === undefined ? embeddedContextFlag(state.flags, name) : unleashContextFlag(name, unleash.percentage)
  return applyChange(state, change, { stamp, target: { context, flag } })
}

/** Flags with one gradual rollout each. */
export function flagsAt(percentages: Readonly<Record<string, number>>): EmbeddedFlags {
  const features = Object.entries(percentages).map(([name, percentage]) => ({
    name,
    enabled: true,
    strategies: [rolloutAt(percentage)],
    variants: [],
  }))
  return { version: 2, features }
}

export function stateWith(more: Partial<SharedState>): SharedState {
  return { ...EMPTY_STATE, ...more }
}

/** Writing to the value, at any depth, throws. */
export function deepFrozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const inner of Object.values(value)) deepFrozen(inner)
  return value
}
