// Whether the sides agree: parity, differences with their evidence, what operators say of them, and rules that are tried.
import type { z } from 'zod'
import type { DifferenceReference } from '../../model/comparison-views.ts'
import {
  type differencesView,
  type differenceView,
  type exportAsked,
  type exportedRequest,
  type parityAsked,
  type parityView,
  type ReasonAsked,
  type ruleTrial,
  type rulingAsked,
  type Said,
  type tryRuleAsked,
  type windowAsked,
  windowMs,
} from '../contract/contract.ts'
import { Refusal, retryAfter } from '../http/problem.ts'
import type { Call, Reply } from '../http/route.ts'
import { type Changed, told } from './changes.ts'
import { unlessUnavailable } from './unless-unavailable.ts'
import { unknownContext } from './views.ts'

type Shown<Schema extends z.ZodType> = Promise<Reply<Said<Schema>> | Refusal>

export async function showParity({ comparisons, input }: Call<z.output<typeof parityAsked>>): Shown<typeof parityView> {
  const target = shareOf(input.target)
  return unlessUnavailable(async () => ({
    body: await comparisons.parity({ windowMs: windowMs(input.window), target }),
  }))
}

/** 99.9 / 100 is a little more than 0.999, and whoever is told the target would see it. */
function shareOf(percent: number): number {
  return Number((percent / 100).toFixed(12))
}

export async function showDifferences(call: Call<z.output<typeof windowAsked>>): Shown<typeof differencesView> {
  const { control, comparisons, id, input } = call
  if ((await control.context(id)) === undefined) return unknownContext(call)
  return unlessUnavailable(async () => ({ body: await comparisons.differences(id, windowMs(input.window)) }))
}

export async function showDifference(call: Call<z.output<typeof windowAsked>>): Shown<typeof differenceView> {
  const { comparisons, input } = call
  return ofDifference(call, async (found) => ({ body: await comparisons.difference(found, windowMs(input.window)) }))
}

export async function rule(call: Call<z.output<typeof rulingAsked>>): Changed {
  const { control, input, order } = call
  return ofDifference(call, async (found) =>
    told(await control.rule(found.context, found, input.verdict, order), order),
  )
}

export async function unrule(call: Call<ReasonAsked>): Changed {
  const { control, order } = call
  return ofDifference(call, async (found) => told(await control.rule(found.context, found, null, order), order))
}

export async function resolve(call: Call<ReasonAsked>): Changed {
  const { control, order } = call
  return ofDifference(call, async (found) => told(await control.resolve(found.context, found, order), order))
}

export async function exportDifference(call: Call<z.output<typeof exportAsked>>): Shown<typeof exportedRequest> {
  const { comparisons, input } = call
  return ofDifference(call, async (found) => {
    const answer = await comparisons.exportRequest(found, input.as)
    return answer.kind === 'exported' ? { body: answer.exported } : new Refusal('not-exportable', answer.why)
  })
}

export async function tryRule(call: Call<z.output<typeof tryRuleAsked>>): Shown<typeof ruleTrial> {
  const { control, comparisons, id, input } = call
  if ((await control.context(id)) === undefined) return unknownContext(call)
  return unlessUnavailable(async () => {
    const answer = await comparisons.tryRules(id, input.rules, input.route)
    if (answer.kind === 'tried') return { body: answer.trial }
    if (answer.kind === 'given-up') return new Refusal('unavailable', answer.why, retryAfter(5))
    return new Refusal('bad-body', 'the rules cannot be read', { mistakes: answer.mistakes.map(belowRules) })
  })
}

function belowRules<Mistake extends { readonly path: string }>(mistake: Mistake): Mistake {
  return { ...mistake, path: mistake.path === '' ? 'rules' : `rules.${mistake.path}` }
}

/** What is done with the difference that the path names; a refusal where it names none. */
function ofDifference<Answer>(
  { comparisons, id }: Pick<Call<unknown>, 'comparisons' | 'id'>,
  work: (found: DifferenceReference) => Promise<Answer>,
): Promise<Answer | Refusal> {
  return unlessUnavailable(async () => {
    const found = await comparisons.find(id)
    return found === undefined ? new Refusal('unknown-difference', UNKNOWN) : work(found)
  })
}

const UNKNOWN =
  'no difference has this fingerprint: strangler diffs CONTEXT lists those there are, with ten hexadecimal digits each; what was not seen for 7 days is forgotten'
