// Handlers of comparisons: parity, differences with examples, rulings, exports and rule trials.
import type { z } from 'zod'
import type { DifferenceReference } from '../../model/comparison-views.ts'
import type { ReasonRequest, rulingRequest } from '../contract/change-requests.ts'
import type {
  differenceResponse,
  differencesResponse,
  exportedRequest,
  exportQuery,
  parityQuery,
  parityResponse,
  ruleTrial,
  tryRuleRequest,
  windowQuery,
} from '../contract/comparisons.ts'
import { windowMs } from '../contract/durations.ts'
import type { ResponseOf } from '../contract/schema-types.ts'
import type { Call, Reply } from '../http/api-route.ts'
import { ApiRefusal, retryAfter } from '../http/problem.ts'
import { type ChangeReply, replyToChange } from './change-context.ts'
import { refuseIfUnavailable } from './refuse-if-unavailable.ts'
import { unknownContext } from './show-state.ts'

type ViewReply<Schema extends z.ZodType> = Promise<Reply<ResponseOf<Schema>> | ApiRefusal>

export async function showParity({
  comparisons,
  input,
}: Call<z.output<typeof parityQuery>>): ViewReply<typeof parityResponse> {
  const target = toShare(input.target)
  return refuseIfUnavailable(async () => ({
    body: await comparisons.parity({ windowMs: windowMs(input.window), target }),
  }))
}

/** Rounds, because 99.9 / 100 is slightly more than 0.999 and the response contains the target. */
function toShare(percent: number): number {
  return Number((percent / 100).toFixed(12))
}

export async function showDifferences(call: Call<z.output<typeof windowQuery>>): ViewReply<typeof differencesResponse> {
  const { control, comparisons, id, input } = call
  if ((await control.context(id)) === undefined) return unknownContext(call)
  return refuseIfUnavailable(async () => ({ body: await comparisons.differences(id, windowMs(input.window)) }))
}

export async function showDifference(call: Call<z.output<typeof windowQuery>>): ViewReply<typeof differenceResponse> {
  const { comparisons, input } = call
  return withDifference(call, async (reference) => ({
    body: await comparisons.difference(reference, windowMs(input.window)),
  }))
}

export async function rule(call: Call<z.output<typeof rulingRequest>>): ChangeReply {
  const { control, input, changeRequest: order } = call
  return withDifference(call, async (reference) =>
    replyToChange(await control.rule(reference.context, reference, input.verdict, order), order),
  )
}

export async function unrule(call: Call<ReasonRequest>): ChangeReply {
  const { control, changeRequest: order } = call
  return withDifference(call, async (reference) =>
    replyToChange(await control.rule(reference.context, reference, null, order), order),
  )
}

export async function resolve(call: Call<ReasonRequest>): ChangeReply {
  const { control, changeRequest: order } = call
  return withDifference(call, async (reference) =>
    replyToChange(await control.resolve(reference.context, reference, order), order),
  )
}

export async function exportDifference(call: Call<z.output<typeof exportQuery>>): ViewReply<typeof exportedRequest> {
  const { comparisons, input } = call
  return withDifference(call, async (reference) => {
    const answer = await comparisons.exportRequest(reference, input.as)
    return answer.kind === 'exported' ? { body: answer.exported } : new ApiRefusal('not-exportable', answer.why)
  })
}

export async function tryRule(call: Call<z.output<typeof tryRuleRequest>>): ViewReply<typeof ruleTrial> {
  const { control, comparisons, id, input } = call
  if ((await control.context(id)) === undefined) return unknownContext(call)
  return refuseIfUnavailable(async () => {
    const answer = await comparisons.tryRules(id, input.rules, input.route)
    if (answer.kind === 'tried') return { body: answer.trial }
    if (answer.kind === 'given-up') return new ApiRefusal('unavailable', answer.why, retryAfter(5))
    return new ApiRefusal('bad-body', 'the rules are not valid', { mistakes: answer.mistakes.map(addRulesPrefix) })
  })
}

function addRulesPrefix<Mistake extends { readonly path: string }>(mistake: Mistake): Mistake {
  return { ...mistake, path: mistake.path === '' ? 'rules' : `rules.${mistake.path}` }
}

/** Runs `work` with the difference whose fingerprint is in the path; refuses an unknown fingerprint. */
function withDifference<Answer>(
  { comparisons, id }: Pick<Call<unknown>, 'comparisons' | 'id'>,
  work: (reference: DifferenceReference) => Promise<Answer>,
): Promise<Answer | ApiRefusal> {
  return refuseIfUnavailable(async () => {
    const reference = await comparisons.find(id)
    return reference === undefined ? new ApiRefusal('unknown-difference', UNKNOWN_DIFFERENCE) : work(reference)
  })
}

const UNKNOWN_DIFFERENCE =
  'no difference has this fingerprint of ten hexadecimal digits: list the differences with strangler diffs CONTEXT; a difference that has not occurred for 7 days is deleted'
