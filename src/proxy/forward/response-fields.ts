// The fields of a response for the client: the upstream's own, mapped to the public address, and those the gateway adds.
import type { Upstream } from '../../model/route.ts'
import type { ForwardDependencies, Forwarding } from './forwarding.ts'
import { applyRules, type ResponseHeaders, responseHeaders } from './headers.ts'
import { mapFieldsBack, publicView } from './map-back.ts'

/**
 * The fields of the upstream that may pass to the client.
 *
 * @param raw as the upstream sent them; unchanged, because the comparison reads them too
 */
export function passedFields(
  { head, identity, match, snapshot }: Forwarding,
  upstream: Upstream,
  status: number,
  raw: readonly string[],
): ResponseHeaders {
  const mayHaveChunks = head.minorVersion === 1 && head.method !== 'HEAD'
  const passed = responseHeaders(raw, status, mayHaveChunks)
  if (passed.hasAddresses) mapFieldsBack(passed.list, publicView(head, identity, snapshot, match.route, upstream))
  return passed
}

/** The fields of the final response: the rules of the route are applied, then the gateway's own fields are added. */
export function finalFields(
  { downstream, identity, match }: Forwarding,
  { anonymousIds }: ForwardDependencies,
  passed: ResponseHeaders,
): string[] {
  const { route } = match
  const rules = route.headers?.response
  const fields = rules === undefined ? passed.list : applyRules(passed.list, rules)
  if (!passed.hasRequestId) fields.push('X-Request-Id', identity.requestId)
  if (identity.isNew && route.context !== undefined) {
    fields.push('Set-Cookie', anonymousIds.setCookie(identity.key, identity.secure))
  }
  if (route.middleware.length > 0) fields.push(...downstream.middlewareFields())
  return fields
}
