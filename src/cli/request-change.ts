// Requests a change from the gateway and prints its result.
import { changeResponse } from '../admin/contract/change-requests.ts'
import { withQuery } from './client/api-path.ts'
import type { HttpChangeRequest } from './client/client.ts'
import {
  type ChangeValues,
  createGatewayClient,
  printResponse,
  readGeneration,
  readReason,
} from './client/gateway-options.ts'
import { EXIT } from './exit-codes.ts'
import { changeLines } from './format/change-lines.ts'

/** A change without its reason and precondition, which all changes take from the same options. */
export type ChangeCall = Pick<HttpChangeRequest, 'method' | 'path'> & {
  /** The members of the body beside the reason. */
  readonly body?: Readonly<Record<string, unknown>>
}

/** @returns the exit code: `done` if every gateway has applied the change */
export async function requestChange(call: ChangeCall, values: ChangeValues): Promise<number> {
  const request = { ...addReason(call, readReason(values)), ifGeneration: readGeneration(values) }
  const { body, raw } = await createGatewayClient(values).change(request, changeResponse)
  printResponse(values, raw, (screen) => changeLines(body, Date.now(), screen))
  return body.converged ? EXIT.done : EXIT.notConverged
}

/** Adds the reason to the body; to the query with DELETE, where a body has no meaning (RFC 9110 section 9.3.5). */
function addReason(
  { method, path, body = {} }: ChangeCall,
  reason: string | null,
): Omit<HttpChangeRequest, 'ifGeneration'> {
  if (method === 'DELETE') return { method, path: withQuery(path, { reason }), body: undefined }
  return { method, path, body: reason === null ? body : { ...body, reason } }
}
