// Moving a flag of the embedded authority: flags in, flags out. Whoever has the store commits the result.
import type { FlagPercentage } from '../../../model/ports.ts'
import type { EmbeddedFlag, EmbeddedFlags } from '../../../model/shared-state.ts'
import { gradualRollout, percentageError, percentageOf, rolloutOf } from '../percentage.ts'

export type EmbeddedMove =
  /** `before` is null where the flag was not there or had no one percentage. */
  | { readonly kind: 'moved'; readonly flags: EmbeddedFlags; readonly before: number | null }
  | { readonly kind: 'refused'; readonly reason: string }

/** The same flags with this one at `percentage`, made if it is missing and switched on if it must be; all else as it was. */
export function withPercentage(flags: EmbeddedFlags, flag: string, percentage: number): EmbeddedMove {
  const refusal = percentageError(percentage)
  if (refusal !== undefined) return { kind: 'refused', reason: refusal }
  const at = flags.features.findIndex(({ name }) => name === flag)
  const found = flags.features[at]
  if (found === undefined) {
    const features = [...flags.features, created(flag, percentage)]
    return { kind: 'moved', flags: { ...flags, features }, before: null }
  }
  const rollout = rolloutOf(found)
  if (rollout.kind === 'immovable') return { kind: 'refused', reason: `flag "${flag}" ${rollout.why}` }
  const strategies =
    rollout.kind === 'none' ? [gradualRollout(flag, percentage)] : moved(found, rollout.index, percentage)
  // At zero, a flag that is off stays off: it comes to the same, and somebody switched it.
  const next = { ...found, enabled: found.enabled === true || percentage > 0, strategies }
  return {
    kind: 'moved',
    flags: { ...flags, features: flags.features.with(at, next) },
    before: percentageOf(found).percentage,
  }
}

/** What one number says of a flag among these. */
export function percentageAmong(flags: EmbeddedFlags, flag: string): FlagPercentage {
  const found = flags.features.find(({ name }) => name === flag)
  return found === undefined ? { percentage: null, why: 'is not there' } : percentageOf(found)
}

function created(flag: string, percentage: number): EmbeddedFlag {
  return { name: flag, type: 'release', enabled: true, strategies: [gradualRollout(flag, percentage)], variants: [] }
}

/** `rolloutOf` has looked at the strategies: the one at `index` is there and has parameters. */
function moved(flag: EmbeddedFlag, index: number, percentage: number): object[] {
  const strategies = flag.strategies as { parameters: object }[]
  return strategies.map((strategy, at) =>
    at === index ? { ...strategy, parameters: { ...strategy.parameters, rollout: String(percentage) } } : strategy,
  )
}
