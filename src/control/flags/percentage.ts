// The percentage of a flag, and whether it can be changed. The rules are the same for flags of the Admin API, of the client API and
// of flags.json, which have these fields in common.
import { z } from 'zod'
import type { FlagPercentage } from '../../model/ports.ts'

type FlagRollout =
  /** The strategy at `index` is a gradual rollout, and no other strategy is in use. */
  | { readonly kind: 'rollout'; readonly index: number; readonly percentage: number }
  /** The flag has no strategy: a gradual rollout may be added. */
  | { readonly kind: 'none' }
  /** No single percentage moves the flag. `percentage` is its effect, if that is one number. */
  | { readonly kind: 'immovable'; readonly percentage: number | null; readonly why: string }

/** @returns how the flag can be moved, apart from its switch; `why` continues a sentence that begins with the flag */
export function rolloutOf(flag: unknown): FlagRollout {
  const read = flagSchema.safeParse(flag)
  if (!read.success) return immovable('is not in a form that this gateway understands')
  const { strategies, variants } = read.data
  const inUse = strategies.filter(({ disabled }) => !disabled)
  const [strategy] = inUse
  if (strategy === undefined) return withoutStrategies(strategies.length)
  if (inUse.length > 1) return severalStrategies(inUse)
  if (strategy.name !== 'flexibleRollout') return otherStrategy(strategy)
  const split = [strategy.variants, variants].find((list) => list.length > 1)
  if (split !== undefined)
    return immovable(
      `divides its users among ${split.length} variants, which one percentage cannot describe: leave one variant, or none`,
    )
  const percentage = wholePercentage(strategy.parameters.rollout)
  if (percentage === undefined)
    return immovable('has a gradual rollout without a whole percentage: set it to a whole number from 0 to 100')
  return { kind: 'rollout', index: strategies.indexOf(strategy), percentage }
}

/** The effect of the flag, with its switch. */
export function percentageOf(flag: unknown): FlagPercentage {
  const read = flagSchema.safeParse(flag)
  if (read.success && !read.data.enabled) return { percentage: 0, why: 'is switched off' }
  const rollout = rolloutOf(flag)
  const audience = read.success && isForMatching(read.data) ? ({ isForMatching: true } as const) : {}
  if (rollout.kind === 'none') return { percentage: 100, why: 'has no strategy, and is on for all users', ...audience }
  if (rollout.kind === 'immovable') return { percentage: rollout.percentage, why: rollout.why, ...audience }
  return { percentage: rollout.percentage, ...audience }
}

/** Unleash writes percentages as text. Its buckets are whole numbers: 12.5 would mean 12 without notice. */
export function wholePercentage(value: unknown): number | undefined {
  if (typeof value === 'string' ? !/^\d{1,3}$/.test(value) : typeof value !== 'number') return undefined
  const percentage = Number(value)
  return Number.isInteger(percentage) && percentage >= 0 && percentage <= 100 ? percentage : undefined
}

/** @returns why a flag cannot have this percentage; undefined if it can */
export function percentageError(percentage: number): string | undefined {
  return wholePercentage(percentage) === undefined
    ? `${percentage} is not a percentage: write a whole number from 0 to 100`
    : undefined
}

/** The strategy that Unleash's pages create. Its group is the name of the flag: two flags do not begin with the same users. */
export function gradualRollout(flag: string, percentage: number) {
  return {
    name: 'flexibleRollout',
    parameters: { rollout: String(percentage), stickiness: 'default', groupId: flag },
    constraints: [],
  }
}

const list = <Item extends z.ZodType>(item: Item) =>
  z
    .array(item)
    .nullish()
    .transform((items) => items ?? [])

const strategySchema = z.looseObject({
  name: z.string(),
  disabled: z.boolean().nullish(),
  parameters: z
    .looseObject({ rollout: z.unknown().optional() })
    .nullish()
    .transform((parameters) => parameters ?? { rollout: undefined }),
  constraints: list(z.unknown()),
  segments: list(z.unknown()),
  variants: list(z.unknown()),
})

const flagSchema = z.looseObject({
  enabled: z.boolean(),
  strategies: list(strategySchema),
  variants: list(z.unknown()),
  dependencies: list(z.unknown()),
})

type ReadStrategy = z.infer<typeof strategySchema>

/** Whether the percentage counts only the users whom the flag matches. */
function isForMatching({ strategies, dependencies }: z.infer<typeof flagSchema>): boolean {
  const inUse = strategies.filter(({ disabled }) => !disabled)
  return dependencies.length > 0 || inUse.length > 1 || inUse.some(excludesUsers)
}

/** Stickiness to a field excludes users without that field; `default` and `random` exclude none. */
function excludesUsers({ constraints, segments, parameters }: ReadStrategy): boolean {
  const { stickiness } = parameters as { stickiness?: unknown }
  const isToField = typeof stickiness === 'string' && !['', 'default', 'random'].includes(stickiness)
  return constraints.length > 0 || segments.length > 0 || isToField
}

function withoutStrategies(switchedOff: number): FlagRollout {
  if (switchedOff === 0) return { kind: 'none' }
  return immovable('has only strategies that are switched off: switch a gradual rollout on, or delete them')
}

function severalStrategies(strategies: readonly ReadStrategy[]): FlagRollout {
  const names = strategies.map(({ name }) => name).join(', ')
  return immovable(
    `has ${strategies.length} strategies (${names}), and a percentage moves only one: leave a single gradual rollout`,
  )
}

function otherStrategy({ name, constraints, segments }: ReadStrategy): FlagRollout {
  const isForAll = name === 'default' && constraints.length === 0 && segments.length === 0
  const why = `has the strategy "${name}", which has no percentage: replace it with a gradual rollout${isForAll ? ' at 100 %' : ''}`
  return { kind: 'immovable', percentage: isForAll ? 100 : null, why }
}

function immovable(why: string): FlagRollout {
  return { kind: 'immovable', percentage: null, why }
}
