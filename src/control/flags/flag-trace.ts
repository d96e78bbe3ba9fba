// Explains the answer of a flag, for `strangler explain`: the same evaluation, with its reasons.
import { normalizedStrategyValue } from 'unleash-client/lib/strategy/util.js'
import type { FlagAnswer, FlagContext } from '../../model/decision.ts'
import type { Evaluator } from './evaluator.ts'

export type FlagTrace = {
  readonly flag: string
  readonly answer: FlagAnswer
  readonly known: boolean
  /** The switch of the flag: off means off for all users. */
  readonly enabled: boolean
  /** Whether the flags that it depends on allow it. */
  readonly parentsAllow: boolean
  /** One strategy that allows is enough. A flag without strategies is on for all users. */
  readonly strategies: readonly StrategyTrace[]
}

type StrategyTrace = {
  readonly name: string
  readonly allows: boolean
  readonly constraints: number
  readonly segments: number
  /** Undefined for a strategy that is not a gradual rollout. */
  readonly rollout: RolloutTrace | undefined
}

type RolloutTrace = {
  readonly percent: number
  /** `default`, `random`, or the name of a field of the context. */
  readonly stickiness: string
  readonly groupId: string
  /** The value that is hashed; undefined if the context has none, or the strategy is random. */
  readonly value: string | undefined
  /** 1 to 100: the flag is on if the bucket is not above the percentage. */
  readonly bucket: number | undefined
}

export function traceFlag(
  flag: string,
  context: FlagContext,
  evaluator: Evaluator | undefined,
  answer: FlagAnswer,
): FlagTrace {
  const feature = evaluator?.find(flag)
  if (evaluator === undefined || feature === undefined)
    return { flag, answer, known: false, enabled: false, parentsAllow: true, strategies: [] }
  const strategies = Array.isArray(feature.strategies) ? feature.strategies : []
  return {
    flag,
    answer,
    known: true,
    enabled: feature.enabled,
    parentsAllow: evaluator.parentsAllow(feature, context),
    strategies: strategies.map((strategy) => ({
      name: strategy.name,
      allows: evaluator.allows(flag, strategy, context),
      constraints: strategy.constraints?.length ?? 0,
      segments: strategy.segments?.length ?? 0,
      rollout: traceRollout(strategy.name, strategy.parameters ?? {}, context),
    })),
  }
}

/** Covers the strategies of unleash-client that hash a value. */
function traceRollout(
  name: string,
  parameters: Readonly<RolloutParameters>,
  context: FlagContext,
): RolloutTrace | undefined {
  const groupId = String(parameters.groupId || '')
  switch (name) {
    case 'flexibleRollout': {
      const stickiness = String(parameters.stickiness || 'default')
      return rollout(parameters.rollout, stickiness, groupId, stickyValue(stickiness, context))
    }
    case 'gradualRolloutUserId':
      return rollout(parameters.percentage, 'userId', groupId, context.userId || undefined)
    case 'gradualRolloutSessionId':
      return rollout(parameters.percentage, 'sessionId', groupId, context.sessionId || undefined)
    case 'gradualRolloutRandom':
      return rollout(parameters.percentage, 'random', groupId, undefined)
    default:
      return undefined
  }
}

type RolloutParameters = { rollout?: unknown; percentage?: unknown; stickiness?: unknown; groupId?: unknown }

function rollout(percent: unknown, stickiness: string, groupId: string, value: string | undefined): RolloutTrace {
  const bucket = value === undefined ? undefined : normalizedStrategyValue(value, groupId)
  return { percent: Number(percent), stickiness, groupId, value, bucket }
}

function stickyValue(stickiness: string, context: FlagContext): string | undefined {
  if (stickiness === 'random') return undefined
  if (stickiness === 'default') return context.userId || context.sessionId || undefined
  if (stickiness === 'userId' || stickiness === 'sessionId' || stickiness === 'remoteAddress')
    return (context[stickiness] ?? context.properties?.[stickiness]) || undefined
  return context.properties?.[stickiness] || undefined
}
