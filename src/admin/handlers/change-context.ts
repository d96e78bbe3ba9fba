// Handlers of changes: each passes the request to control and answers with its result.
import type { ChangeResult } from '../../control/control.ts'
import {
  type changeResponse,
  type FlipRequest,
  type PinRequest,
  pinDurationMs,
  type ReasonRequest,
  type RollbackRequest,
  type ShadowRequest,
} from '../contract/change-requests.ts'
import type { ResponseOf } from '../contract/schema-types.ts'
import type { Call, Reply } from '../http/api-route.ts'
import { etag } from '../http/if-match.ts'
import { ApiRefusal, retryAfter } from '../http/problem.ts'

export type ChangeReply = Promise<Reply<ResponseOf<typeof changeResponse>> | ApiRefusal>

export async function flip({ control, id, input, changeRequest }: Call<FlipRequest>): ChangeReply {
  return replyToChange(await control.flip(id, input.percentage, changeRequest), changeRequest)
}

export async function pin({ control, id, input, changeRequest }: Call<PinRequest>): ChangeReply {
  return replyToChange(await control.pin(id, input.side, pinDurationMs(input), changeRequest), changeRequest)
}

export async function unpin({ control, id, changeRequest }: Call<ReasonRequest>): ChangeReply {
  return replyToChange(await control.unpin(id, changeRequest), changeRequest)
}

export async function forget({ control, id, changeRequest }: Call<ReasonRequest>): ChangeReply {
  return replyToChange(await control.forget(id, changeRequest), changeRequest)
}

export async function freeze({ control, id, changeRequest }: Call<ReasonRequest>): ChangeReply {
  return replyToChange(await control.freeze(id, changeRequest), changeRequest)
}

export async function thaw({ control, id, changeRequest }: Call<ReasonRequest>): ChangeReply {
  return replyToChange(await control.thaw(id, changeRequest), changeRequest)
}

export async function shadow({ control, id, input, changeRequest }: Call<ShadowRequest>): ChangeReply {
  return replyToChange(await control.shadow(id, input.percentage, changeRequest), changeRequest)
}

export async function shadowAsConfigured({ control, id, changeRequest }: Call<ReasonRequest>): ChangeReply {
  return replyToChange(await control.shadow(id, null, changeRequest), changeRequest)
}

/** Checks the precondition here: control ignores it, so that only the config can prevent a rollback. */
export async function rollback(call: Call<RollbackRequest & { force: boolean }>): ChangeReply {
  const { control, id, input, changeRequest, actor } = call
  if (input.force && actor.role !== 'admin') {
    return new ApiRefusal('forbidden', '"force" requires the role admin', {
      why: `${actor.role} may not force a rollback`,
    })
  }
  const { ifGeneration } = changeRequest
  const generation = ifGeneration === undefined ? undefined : (await control.context(id))?.generation
  if (generation !== ifGeneration && generation !== undefined) return preconditionFailed(generation)
  return replyToChange(await control.rollback(id, input.force, changeRequest), changeRequest)
}

export async function kill({ control, changeRequest }: Call<ReasonRequest>): ChangeReply {
  const refusal = await checkKillSwitch({ control, changeRequest })
  return refusal ?? replyToChange(await control.kill(changeRequest), changeRequest)
}

export async function revive({ control, changeRequest }: Call<ReasonRequest>): ChangeReply {
  const refusal = await checkKillSwitch({ control, changeRequest })
  return refusal ?? replyToChange(await control.revive(changeRequest), changeRequest)
}

/** Checks the precondition here, as for a rollback. */
async function checkKillSwitch({
  control,
  changeRequest,
}: Pick<Call<unknown>, 'control' | 'changeRequest'>): Promise<ApiRefusal | undefined> {
  if (changeRequest.ifGeneration === undefined) return undefined
  const { generation } = await control.status()
  return generation === changeRequest.ifGeneration ? undefined : preconditionFailed(generation)
}

function preconditionFailed(generation: number): ApiRefusal {
  const detail = 'it has changed since: look at its state, and repeat the request if you still want the change'
  return new ApiRefusal('precondition-failed', detail, { generation, headers: { ETag: etag(generation) } })
}

export function replyToChange(
  result: ChangeResult,
  { ifGeneration }: Call<unknown>['changeRequest'],
): Reply<ResponseOf<typeof changeResponse>> | ApiRefusal {
  switch (result.kind) {
    case 'done': {
      const { kind: _, convergence, before: previous = null, after: current = null, ...facts } = result
      return {
        body: { ...facts, before: previous, after: current, converged: convergence.laggards.length === 0, convergence },
      }
    }
    case 'refused':
      return new ApiRefusal('refused', result.why)
    case 'conflict': {
      const { generation, why } = result
      const code = ifGeneration === undefined ? 'conflict' : 'precondition-failed'
      return new ApiRefusal(code, why, { generation, headers: { ETag: etag(generation) } })
    }
    case 'unknown-context':
      return new ApiRefusal('unknown-context', result.why, { known: result.known })
    case 'unavailable':
      return new ApiRefusal('unavailable', result.why, retryAfter(5))
  }
}
