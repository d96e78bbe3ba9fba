// Sets the percentage of a flag among embedded flags. Pure: execute-change.ts commits the flags with the shared state.
import type { FlagPercentage } from '../../../model/ports.ts'
import type { EmbeddedFlag, EmbeddedFlags } from '../../../model/shared-state.ts'
import { gradualRollout, percentageError, percentageOf, rolloutOf } from '../percentage.ts'

type EmbeddedMove =
  /** `before` is null if the flag did not exist or had no single percentage. */
  | { readonly kind: 'moved'; readonly flags: EmbeddedFlags; readonly before: number | null }
  | { readonly kind: 'refused'; readonly reason: string }

/** Creates a missing flag, and switches a flag on if the percentage requires it. Other flags stay as they are. */
export function withPercentage(flags: EmbeddedFlags, flag: string, percentage: number): EmbeddedMove {
  const error = percentageError(percentage)
  if (error !== undefined) return { kind: 'refused', reason: error }
  const index = flags.features.findIndex(({ name }) => name === flag)
  const feature = flags.features[index]
  if (feature === undefined) {
    const features = [...flags.features, createFlag(flag, percentage)]
    return { kind: 'moved', flags: { ...flags, features }, before: null }
  }
  const rollout = rolloutOf(feature)
  if (rollout.kind === 'immovable') return { kind: 'refused', reason: `flag "${flag}" ${rollout.why}` }
  const strategies =
    rollout.kind === 'none' ? [gradualRollout(flag, percentage)] : moveStrategy(feature, rollout.index, percentage)
  // At 0 %, a flag that is switched off stays off: the effect is the same, and an operator switched it.
  const next = { ...feature, enabled: feature.enabled === true || percentage > 0, strategies }
  return {
    kind: 'moved',
    flags: { ...flags, features: flags.features.with(index, next) },
    before: percentageOf(feature).percentage,
  }
}

export function percentageAmong(flags: EmbeddedFlags, flag: string): FlagPercentage {
  const feature = flags.features.find(({ name }) => name === flag)
  return feature === undefined ? { percentage: null, why: 'is not there' } : percentageOf(feature)
}

function createFlag(flag: string, percentage: number): EmbeddedFlag {
  return { name: flag, type: 'release', enabled: true, strategies: [gradualRollout(flag, percentage)], variants: [] }
}

/** `rolloutOf` has validated the strategies: the one at `index` exists and has parameters. */
function moveStrategy(flag: EmbeddedFlag, index: number, percentage: number): object[] {
  const strategies = flag.strategies as { parameters: object }[]
  return strategies.map((strategy, position) =>
    position === index
      ? { ...strategy, parameters: { ...strategy.parameters, rollout: String(percentage) } }
      : strategy,
  )
}
