// Header fields for the upstream and for the client, as pure functions.
import type { IncomingHttpHeaders } from 'node:http'
import type { Identity } from '../../model/decision.ts'
import type { HeaderList, ReadFields, RequestHead } from '../../model/request-head.ts'
import type { FieldRules, HeaderRules, Upstream } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { isEndToEnd } from '../policy/read-head.ts'

/** The facts from which the gateway adds fields to a request. */
export type RequestAdditions = {
  readonly head: RequestHead
  readonly identity: Identity
  readonly snapshot: Snapshot
  /** The route's header rules. */
  readonly rules: HeaderRules | undefined
  /** This gateway's name in `Via` and `CDN-Loop`. */
  readonly viaName: string
  readonly traceparent: string
}

/**
 * The field list for an upstream. The connection adds `Connection` and `Transfer-Encoding` (RFC 9112 sections 6.1 and
 * 9.1).
 */
export function requestHeaders(added: RequestAdditions, upstream: Upstream, authority: string): string[] {
  const { head, identity, snapshot, rules, viaName } = added
  const { fields } = head
  const isPeerTrusted = snapshot.trustsProxy(head.peerAddress)
  const list = rules?.request === undefined ? head.endToEnd.slice() : applyRules(head.endToEnd, rules.request)

  const host = upstream.host === 'preserve' && head.host !== '' ? head.host : authority
  const proto = identity.secure ? 'https' : 'http'
  const forwardedHost = (isPeerTrusted && fields.forwardedHost) || head.host
  list.push('X-Forwarded-For', append(isPeerTrusted ? fields.forwardedFor : undefined, head.peerAddress))
  if (forwardedHost !== '') list.push('X-Forwarded-Host', forwardedHost)
  list.push('X-Forwarded-Proto', proto)
  list.push('Forwarded', append(isPeerTrusted ? fields.forwarded : undefined, forwardedElement(head, proto)))
  if (upstream.via) list.push('Via', append(fields.via, head.minorVersion === 1 ? `1.1 ${viaName}` : `1.0 ${viaName}`))
  const cdnLoop = upstream.via ? fields.cdnLoop : append(fields.cdnLoop, viaName)
  if (cdnLoop !== undefined) list.push('CDN-Loop', cdnLoop)
  list.push('X-Request-Id', identity.requestId)
  list.push('traceparent', added.traceparent)
  if (identity.kind === 'user') list.push(...userFields(identity, snapshot.identity.user?.header))
  // RFC 9110 section 7.6.2: each intermediary decrements it. The gateway answers a request with 0 itself.
  if (fields.maxForwards !== undefined && head.method === 'OPTIONS') {
    list.push('Max-Forwards', String(Number(fields.maxForwards) - 1))
  }
  if (head.body.kind === 'length') list.push('Content-Length', String(head.body.bytes))
  list.push('Host', host)
  return list
}

/**
 * The fields that name the user: the verified claims of a token, and the same user in the configured user header.
 *
 * @param userHeader the header in which a trusted proxy names the user, in lower case; undefined if not configured
 */
export function userFields({ key, verified = [] }: Identity, userHeader: string | undefined): HeaderList {
  const [name, userId = key] = verified
  if (userHeader === undefined || userHeader === name?.toLowerCase()) return verified
  return [...verified, userHeader, userId]
}

/** @returns the list with the rules applied; other lines keep their order, spelling and duplicates */
export function applyRules(list: HeaderList, { names, set }: FieldRules): string[] {
  const changed: string[] = []
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i] as string
    if (!names.has(name.toLowerCase())) changed.push(name, list[i + 1] as string)
  }
  changed.push(...set)
  return changed
}

/** As `applyRules`, in place, for Node's object of fields with names in lower case. */
export function applyRulesToObject(headers: IncomingHttpHeaders, { names, set }: FieldRules): void {
  for (const name of names) delete headers[name]
  Object.assign(headers, toFieldObject(set))
}

function append(list: string | undefined, value: string): string {
  return list === undefined ? value : `${list}, ${value}`
}

/** RFC 7239 section 4; an IPv6 address is quoted and bracketed (section 6). */
function forwardedElement(head: RequestHead, proto: string): string {
  const address = head.peerAddress
  const node = address.includes(':') ? `"[${address}]"` : address
  return head.host === '' ? `for=${node};proto=${proto}` : `for=${node};host="${head.host}";proto=${proto}`
}

/**
 * Whether the request has passed this gateway before: a gateway must not forward to itself (RFC 9110 section 7.6.3). Then
 * its name is in `Via`, or in `CDN-Loop` as a cdn-id (RFC 8586).
 *
 * @param viaName in lower case
 */
export function isLoop({ via, cdnLoop }: Pick<ReadFields, 'via' | 'cdnLoop'>, viaName: string): boolean {
  if (via?.includes(viaName)) return true
  return cdnLoop?.toLowerCase().includes(viaName) === true && cdnIds(cdnLoop).includes(viaName)
}

/**
 * The cdn-ids of a `CDN-Loop` field in lower case, without their parameters (RFC 8586 section 2). A comma or a
 * semicolon in a quoted parameter value is not a separator.
 */
function cdnIds(cdnLoop: string): string[] {
  const unquoted = cdnLoop.toLowerCase().replace(QUOTED_STRING, '""')
  return unquoted.split(',').map((info) => (info.split(';')[0] as string).trim())
}

/** RFC 9110 section 5.6.4. A string without its closing quote is malformed and is read as plain text. */
const QUOTED_STRING = /"(?:[^"\\]|\\.)*"/g

/** Classes of response fields: dropped, kept, or inspected. */
const DROP = 1
const CONNECTION = 2
const CONTENT_LENGTH = 3
const REQUEST_ID = 4
const TRAILER = 5
const ADDRESS = 6

const KEEP = 0

const RESPONSE_FIELDS = new Map<string, number>([
  // Most fields are kept. A lookup by the usual spelling saves a copy in lower case.
  ...['Content-Type', 'Date', 'Server', 'ETag', 'Cache-Control', 'Vary', 'Last-Modified'].map(
    (name) => [name, KEEP] as const,
  ),
  ['Set-Cookie', ADDRESS],
  ['Location', ADDRESS],
  ['Content-Length', CONTENT_LENGTH],
  ['Connection', CONNECTION],
  ['Keep-Alive', DROP],
  ['Transfer-Encoding', DROP],
  ['connection', CONNECTION],
  ['content-length', CONTENT_LENGTH],
  ['x-request-id', REQUEST_ID],
  ['trailer', TRAILER],
  ['set-cookie', ADDRESS],
  ['location', ADDRESS],
  ['content-location', ADDRESS],
  ['keep-alive', DROP],
  ['proxy-connection', DROP],
  ['transfer-encoding', DROP],
  ['upgrade', DROP],
  ['te', DROP],
  ['proxy-authenticate', DROP],
  // RFC 7838: the field would send clients past the gateway to the origin's own address.
  ['alt-svc', DROP],
])

export type ResponseHeaders = {
  readonly list: string[]
  /** The upstream has set `X-Request-Id`; the gateway keeps it. */
  readonly hasRequestId: boolean
  /** The list contains a field that can name an address or a path of the upstream. */
  readonly hasAddresses: boolean
}

/**
 * The field list for the client, in the order and spelling of the upstream.
 *
 * @param raw `[name, value, ...]` as the upstream sent them
 * @param mayHaveChunks whether the response to the client can be chunked: not for HEAD or HTTP/1.0
 */
export function responseHeaders(raw: readonly string[], status: number, mayHaveChunks: boolean): ResponseHeaders {
  const list: string[] = []
  let hasRequestId = false
  let hasAddresses = false
  let hasTrailer = false
  let hasLength = false
  let connection: string | undefined
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    const field = RESPONSE_FIELDS.get(name) ?? RESPONSE_FIELDS.get(name.toLowerCase())
    if (field === undefined || field === KEEP) {
      list.push(name, value)
      continue
    }
    if (field === DROP) continue
    if (field === CONNECTION) {
      connection = connection === undefined ? value : `${connection},${value}`
      continue
    }
    // RFC 9110 section 8.6: a 1xx or 204 has no Content-Length.
    if (field === CONTENT_LENGTH && (status < 200 || status === 204)) continue
    if (field === CONTENT_LENGTH) hasLength = true
    if (field === REQUEST_ID) hasRequestId = true
    if (field === ADDRESS) hasAddresses = true
    if (field === TRAILER) hasTrailer = true
    list.push(name, value)
  }
  // RFC 9112 section 6.3: only a chunked body can have trailers. Node refuses to announce trailers for any other body.
  if (hasTrailer && (hasLength || !mayHaveChunks || status === 204 || status === 304)) {
    connection = connection === undefined ? 'trailer' : `${connection},trailer`
  }
  return {
    list: connection === undefined ? list : withoutListed(list, connection),
    hasRequestId,
    hasAddresses,
  }
}

function withoutListed(list: string[], connection: string): string[] {
  const lower = connection.toLowerCase()
  if (lower === 'keep-alive' || lower === 'close') return list
  const listed = new Set(lower.split(',').map((token) => token.trim()))
  // `Connection` must not remove the framing of the response.
  listed.delete('content-length')
  const remaining: string[] = []
  for (let i = 0; i < list.length; i += 2) {
    if (!listed.has((list[i] as string).toLowerCase())) remaining.push(list[i] as string, list[i + 1] as string)
  }
  return remaining
}

/** Fields that change the meaning of the message and must not be trailers (RFC 9110 section 6.5.1). */
const FORBIDDEN_TRAILERS = new Set([
  'authorization',
  'cache-control',
  'content-encoding',
  'content-range',
  'content-type',
  'range',
  'set-cookie',
  'www-authenticate',
])

/**
 * The trailers that may pass, as `[name, value]` pairs. They stay trailers and never become header fields. Fields that name
 * the user or the client's address are removed, as in the head.
 *
 * @param raw `[name, value, ...]`
 * @param userHeader the identity header in lower case; undefined if not configured
 * @param claimHeaders the headers of verified claims in lower case; undefined if not configured
 */
export function trailers(
  raw: readonly string[],
  userHeader?: string,
  claimHeaders?: ReadonlySet<string>,
): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const lower = name.toLowerCase()
    if (FORBIDDEN_TRAILERS.has(lower) || lower === userHeader || claimHeaders?.has(lower)) continue
    if (!isEndToEnd(lower)) continue
    pairs.push([name, raw[i + 1] as string])
  }
  return pairs
}

/** A field list as Node's object with lower-case names, for libraries that need one. */
export function toFieldObject(list: readonly string[]): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = Object.create(null)
  for (let i = 0; i < list.length; i += 2) {
    const name = (list[i] as string).toLowerCase()
    const value = list[i + 1] as string
    const previous = fields[name]
    fields[name] = previous === undefined ? value : Array.isArray(previous) ? [...previous, value] : [previous, value]
  }
  return fields
}

/** The fields of a response with this Connection field that must not pass the gateway, for a library that passes all. */
export function hopByHopOf(connection: string | undefined): string[] {
  const dropped = [...RESPONSE_FIELDS].filter(([, field]) => field === DROP).map(([name]) => name)
  const listed = (connection ?? '').toLowerCase().split(',')
  // The library writes the body itself and so determines its framing.
  return [...dropped, 'connection', ...listed.map((token) => token.trim())].filter(
    (name) => name !== 'transfer-encoding' && name !== 'content-length' && name !== '',
  )
}
