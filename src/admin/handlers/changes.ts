// The verbs: what was asked for goes to control, and what became of it is the answer.
import type { ChangeResult } from '../../control/control.ts'
import {
  type done,
  type FlipAsked,
  type PinAsked,
  pinMs,
  type ReasonAsked,
  type RollbackAsked,
  type Said,
  type ShadowAsked,
} from '../contract/contract.ts'
import { etag } from '../http/if-match.ts'
import { Refusal, retryAfter } from '../http/problem.ts'
import type { Call, Reply } from '../http/route.ts'

export type Changed = Promise<Reply<Said<typeof done>> | Refusal>

export async function flip({ control, id, input, order }: Call<FlipAsked>): Changed {
  return told(await control.flip(id, input.percentage, order), order)
}

export async function pin({ control, id, input, order }: Call<PinAsked>): Changed {
  return told(await control.pin(id, input.side, pinMs(input), order), order)
}

export async function unpin({ control, id, order }: Call<ReasonAsked>): Changed {
  return told(await control.unpin(id, order), order)
}

export async function forget({ control, id, order }: Call<ReasonAsked>): Changed {
  return told(await control.forget(id, order), order)
}

export async function freeze({ control, id, order }: Call<ReasonAsked>): Changed {
  return told(await control.freeze(id, order), order)
}

export async function thaw({ control, id, order }: Call<ReasonAsked>): Changed {
  return told(await control.thaw(id, order), order)
}

export async function shadow({ control, id, input, order }: Call<ShadowAsked>): Changed {
  return told(await control.shadow(id, input.percentage, order), order)
}

export async function shadowAsConfigured({ control, id, order }: Call<ReasonAsked>): Changed {
  return told(await control.shadow(id, null, order), order)
}

/** The precondition is looked at here: control lets nothing but the config stand in a rollback's way. */
export async function rollback({
  control,
  id,
  input,
  order,
  actor,
}: Call<RollbackAsked & { force: boolean }>): Changed {
  if (input.force && actor.role !== 'admin') {
    return new Refusal('forbidden', '"force" asks for the role admin', {
      why: `${actor.role} may not force a rollback`,
    })
  }
  const { ifGeneration } = order
  const now = ifGeneration === undefined ? undefined : (await control.context(id))?.generation
  if (now !== ifGeneration && now !== undefined) return changedSince(now)
  return told(await control.rollback(id, input.force, order), order)
}

export async function kill({ control, order }: Call<ReasonAsked>): Changed {
  return (await clashOfSwitch({ control, order })) ?? told(await control.kill(order), order)
}

export async function revive({ control, order }: Call<ReasonAsked>): Changed {
  return (await clashOfSwitch({ control, order })) ?? told(await control.revive(order), order)
}

/** As with a rollback. */
async function clashOfSwitch({
  control,
  order,
}: Pick<Call<unknown>, 'control' | 'order'>): Promise<Refusal | undefined> {
  if (order.ifGeneration === undefined) return undefined
  const { generation } = await control.status()
  return generation === order.ifGeneration ? undefined : changedSince(generation)
}

function changedSince(generation: number): Refusal {
  const detail = `it was changed since: look at it, and ask again if you still want to`
  return new Refusal('precondition-failed', detail, { generation, headers: { ETag: etag(generation) } })
}

export function told(
  result: ChangeResult,
  { ifGeneration }: Call<unknown>['order'],
): Reply<Said<typeof done>> | Refusal {
  switch (result.kind) {
    case 'done': {
      const { kind: _, convergence, before = null, after = null, ...facts } = result
      return { body: { ...facts, before, after, converged: convergence.laggards.length === 0, convergence } }
    }
    case 'refused':
      return new Refusal('refused', result.why)
    case 'conflict': {
      const { generation, why } = result
      const code = ifGeneration === undefined ? 'conflict' : 'precondition-failed'
      return new Refusal(code, why, { generation, headers: { ETag: etag(generation) } })
    }
    case 'unknown-context':
      return new Refusal('unknown-context', result.why, { known: result.known })
    case 'unavailable':
      return new Refusal('unavailable', result.why, retryAfter(5))
  }
}
