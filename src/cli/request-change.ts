// A change, from what was written to what became of it: said to the gateway, and told to a person.
import { changeResponse } from '../admin/contract/change-requests.ts'
import { withQuery } from './client/api-path.ts'
import type { Change } from './client/client.ts'
import { type ChangingValues, clientFor, printAnswer, readGeneration, readReason } from './client/gateway-options.ts'
import { EXIT } from './exit-codes.ts'
import { tellDone } from './format/change-lines.ts'

export type Wish = Pick<Change, 'method' | 'path'> & {
  /** Beside the reason. */
  readonly body?: Readonly<Record<string, unknown>>
}

/** @returns the exit code: done where every gateway has applied it */
export async function carryOut(wish: Wish, values: ChangingValues): Promise<number> {
  const change = { ...said(wish, readReason(values)), ifGeneration: readGeneration(values) }
  const answer = await clientFor(values).change(change, changeResponse)
  printAnswer(values, answer.said, (on) => tellDone(answer.body, Date.now(), on))
  return answer.body.converged ? EXIT.done : EXIT.notConverged
}

/** A body has no meaning with DELETE: the reason is in the query there. */
function said({ method, path, body = {} }: Wish, reason: string | null): Omit<Change, 'ifGeneration'> {
  if (method === 'DELETE') return { method, path: withQuery(path, { reason }), body: undefined }
  return { method, path, body: reason === null ? body : { ...body, reason } }
}
