// The fields and trailers of a request for an upstream, with those that announce its body.
import type { Upstream } from '../../model/route.ts'
import type { Forwarding } from './forwarding.ts'
import { requestHeaders, trailers } from './headers.ts'
import type { RequestBody } from './request-body.ts'

/** @param authority host and port of the address */
export function requestFields(
  forwarding: Forwarding,
  viaName: string,
  upstream: Upstream,
  authority: string,
  body: RequestBody | undefined,
): readonly string[] {
  const { head, identity, snapshot, match, traceparent } = forwarding
  const added = { head, identity, snapshot, rules: match.route.headers, viaName, traceparent }
  const fields = requestHeaders(added, upstream, authority)
  if (hasTrailers(forwarding, body)) fields.push('Trailer', head.fields.trailer as string)
  if (body !== undefined && head.fields.expect !== undefined) fields.push('Expect', '100-continue')
  return fields
}

export function isChunked({ head }: Forwarding, body: RequestBody | undefined): boolean {
  return body !== undefined && head.body.kind === 'chunked'
}

function hasTrailers(forwarding: Forwarding, body: RequestBody | undefined): boolean {
  return isChunked(forwarding, body) && forwarding.head.fields.trailer !== undefined
}

/** Called when the body has ended: `[name, value]` pairs that may pass to the upstream. */
export function requestTrailers(
  forwarding: Forwarding,
  body: RequestBody | undefined,
): readonly (readonly [string, string])[] {
  if (!hasTrailers(forwarding, body)) return []
  const { user, claimHeaders } = forwarding.snapshot.identity
  return trailers(forwarding.downstream.requestTrailers, user?.header, claimHeaders)
}

const METHODS_WITH_BODY = new Set([
  'POST',
  'PUT',
  'PATCH',
  'QUERY',
  'PROPFIND',
  'PROPPATCH',
  'REPORT',
  'MKCOL',
  'SEARCH',
])

/**
 * Whether a body is usual for the method. A body on any other method is an attack of request smuggling (CVE-2026-29057):
 * its connection must not be used again.
 */
export function expectsBody(method: string): boolean {
  return METHODS_WITH_BODY.has(method)
}
