// Turns the parsed head into the plain value that the policy uses, and refuses an ambiguous head. One pass over the
// fields sorts each line: forwarded, read by the gateway, or dropped.
import { DROPPED_FAMILIES, DROPPED_FIELDS, READ_FIELDS } from '../../model/gateway-fields.ts'
import type { BodyFraming, ReadFields, RequestHead } from '../../model/request-head.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { Refusal } from './refusal.ts'
import { parseTarget } from './target.ts'

export type RawHead = {
  readonly method: string
  readonly target: string
  readonly majorVersion: number
  readonly minorVersion: 0 | 1
  readonly rawHeaders: readonly string[]
  readonly peerAddress: string
  readonly secure: boolean
}

/** The part of a snapshot that decides how a head is read. */
export type HeadRules = Pick<Snapshot, 'limits' | 'identity'>

/** Reads a request head, or refuses it (400, 405, 414, 417, 431, 501). */
export function readHead(raw: RawHead, { limits, identity }: HeadRules): RequestHead | Refusal {
  // Node's parser accepts the line `GET / HTTP/2.0`. Real HTTP/2 begins with another line.
  if (raw.majorVersion !== 1) return new Refusal('malformed', `HTTP version ${raw.majorVersion}`, undefined, 'protocol')
  if (raw.target.length > limits.targetBytes) return new Refusal('target-too-long', `${raw.target.length} bytes`)
  if (raw.rawHeaders.length / 2 > limits.headerCount) {
    return new Refusal('headers-too-large', `${raw.rawHeaders.length / 2} header lines`)
  }
  if (raw.method === 'TRACE' || raw.method === 'CONNECT') return new Refusal('method-refused', raw.method)

  const sorted = new SortedFields()
  const refusal = sorted.read(raw.rawHeaders, limits.headerBytes, identity.user?.header, identity.claimHeaders)
  if (refusal !== undefined) return refusal

  const host = readHost(sorted, raw.minorVersion)
  if (host instanceof Refusal) return host
  const body = readFraming(sorted, raw.minorVersion)
  if (body instanceof Refusal) return body
  const target = parseTarget(raw.method, raw.target, host)
  if (target instanceof Refusal) return target
  // RFC 9110 section 10.1.1: HTTP/1.0 has no interim responses, so Expect is ignored.
  if (raw.minorVersion === 0) sorted.expect = undefined
  if (sorted.expect !== undefined && sorted.expect.toLowerCase() !== '100-continue') {
    return new Refusal('expectation-unknown', 'Expect is not 100-continue')
  }

  return {
    method: raw.method,
    path: target.path,
    query: target.query,
    hasEncodedSlash: target.hasEncodedSlash,
    host,
    headers: raw.rawHeaders,
    endToEnd: withoutListed(sorted.endToEnd, sorted.connection),
    minorVersion: raw.minorVersion,
    peerAddress: raw.peerAddress,
    secure: raw.secure,
    body,
    fields: sorted,
  }
}

/** How the pass over the list handles a field. */
const HeadField = {
  keep: 0,
  drop: 1,
  host: 2,
  contentLength: 3,
  transferEncoding: 4,
  cookie: 5,
  connection: 6,
  upgrade: 7,
  expect: 8,
  trailer: 9,
  forwardedFor: 10,
  forwardedHost: 11,
  forwardedProto: 12,
  forwarded: 13,
  via: 14,
  requestId: 15,
  traceparent: 16,
  maxForwards: 17,
  shadow: 18,
  cdnLoop: 19,
} as const
type HeadField = (typeof HeadField)[keyof typeof HeadField]

const READ: Readonly<Record<(typeof READ_FIELDS)[number], HeadField>> = {
  host: HeadField.host,
  'content-length': HeadField.contentLength,
  'transfer-encoding': HeadField.transferEncoding,
  cookie: HeadField.cookie,
  connection: HeadField.connection,
  upgrade: HeadField.upgrade,
  expect: HeadField.expect,
  trailer: HeadField.trailer,
  'x-forwarded-for': HeadField.forwardedFor,
  'x-forwarded-host': HeadField.forwardedHost,
  'x-forwarded-proto': HeadField.forwardedProto,
  forwarded: HeadField.forwarded,
  via: HeadField.via,
  'cdn-loop': HeadField.cdnLoop,
  'x-request-id': HeadField.requestId,
  traceparent: HeadField.traceparent,
  'max-forwards': HeadField.maxForwards,
  'x-shadow': HeadField.shadow,
}

const FIELDS: readonly (readonly [string, HeadField])[] = [
  ...READ_FIELDS.map((name) => [name, READ[name]] as const),
  ...DROPPED_FIELDS.map((name) => [name, HeadField.drop] as const),
]

/** By the two usual spellings, lower case and Like-This, which are found without a copy in lower case. */
const BY_SPELLING = new Map<string, HeadField>()
for (const [name, field] of FIELDS) {
  BY_SPELLING.set(name, field)
  BY_SPELLING.set(
    name.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase()),
    field,
  )
}

function fieldOf(name: string): HeadField {
  const field = BY_SPELLING.get(name)
  if (field !== undefined) return field
  const lower = name.toLowerCase()
  // CGI, WSGI and Rack map `X_User_Id` and `X-User-Id` to the same variable (CVE-2025-64484). nginx drops such names too.
  if (lower.includes('_')) return HeadField.drop
  const unusualSpelling = lower === name ? undefined : BY_SPELLING.get(lower)
  return unusualSpelling ?? (DROPPED_FAMILIES.test(lower) ? HeadField.drop : HeadField.keep)
}

/** Whether the gateway forwards a field unchanged: it does not read, set or remove it. */
export function isEndToEnd(name: string): boolean {
  return fieldOf(name) === HeadField.keep
}

class SortedFields implements ReadFields {
  readonly endToEnd: string[] = []
  hosts = 0
  host = ''
  contentLengths = 0
  contentLength = ''
  transferEncodings = 0
  transferEncoding = ''
  cookie: string | undefined = undefined
  connection: string | undefined = undefined
  upgrade: string | undefined = undefined
  expect: string | undefined = undefined
  trailer: string | undefined = undefined
  forwardedFor: string | undefined = undefined
  forwardedHost: string | undefined = undefined
  forwardedProto: string | undefined = undefined
  forwarded: string | undefined = undefined
  via: string | undefined = undefined
  cdnLoop: string | undefined = undefined
  requestId: string | undefined = undefined
  traceparent: string | undefined = undefined
  maxForwards: string | undefined = undefined
  user: string | undefined = undefined
  saysShadow = false

  read(
    raw: readonly string[],
    mostBytes: number,
    userHeader: string | undefined,
    claimHeaders: ReadonlySet<string> | undefined,
  ): Refusal | undefined {
    let users = 0
    let bytes = 0
    for (let i = 0; i < raw.length; i += 2) {
      const name = raw[i] as string
      const value = raw[i + 1] as string
      bytes += name.length + value.length + LINE_BYTES
      if (userHeader !== undefined && name.length === userHeader.length && name.toLowerCase() === userHeader) {
        // Two lines with a user contradict each other, so neither counts.
        this.user = ++users === 1 ? value : undefined
        continue
      }
      switch (fieldOf(name)) {
        case HeadField.keep:
          if (claimHeaders?.has(name.toLowerCase())) break
          this.endToEnd.push(name, value)
          break
        case HeadField.drop:
          break
        case HeadField.host:
          this.hosts++
          this.host = value
          break
        case HeadField.contentLength:
          this.contentLengths++
          this.contentLength = value
          break
        case HeadField.transferEncoding:
          this.transferEncodings++
          this.transferEncoding = value
          break
        case HeadField.cookie:
          // The upstream receives separate lines; the joined value is for the gateway only.
          this.endToEnd.push(name, value)
          this.cookie = this.cookie === undefined ? value : `${this.cookie}; ${value}`
          break
        case HeadField.connection:
          this.connection = joined(this.connection, value)
          break
        case HeadField.upgrade:
          this.upgrade = joined(this.upgrade, value)
          break
        case HeadField.expect:
          this.expect = joined(this.expect, value)
          break
        case HeadField.trailer:
          this.trailer = joined(this.trailer, value)
          break
        case HeadField.forwardedFor:
          this.forwardedFor = joined(this.forwardedFor, value)
          break
        case HeadField.forwardedHost:
          this.forwardedHost = joined(this.forwardedHost, value)
          break
        case HeadField.forwardedProto:
          this.forwardedProto = joined(this.forwardedProto, value)
          break
        case HeadField.forwarded:
          this.forwarded = joined(this.forwarded, value)
          break
        case HeadField.via:
          this.via = joined(this.via, value)
          break
        case HeadField.cdnLoop:
          this.cdnLoop = joined(this.cdnLoop, value)
          break
        case HeadField.requestId:
          this.requestId = joined(this.requestId, value)
          break
        case HeadField.traceparent:
          this.traceparent = joined(this.traceparent, value)
          break
        case HeadField.maxForwards:
          this.maxForwards = joined(this.maxForwards, value)
          break
        case HeadField.shadow:
          this.saysShadow = true
          break
      }
    }
    if (bytes > mostBytes) return new Refusal('headers-too-large', `${bytes} bytes of headers`)
    if (this.maxForwards !== undefined && !/^\d{1,9}$/.test(this.maxForwards)) {
      return new Refusal('bad-header', 'Max-Forwards is not a number')
    }
    return undefined
  }
}

/** The colon, the space and the line break of a field line. */
const LINE_BYTES = 4

function joined(earlier: string | undefined, value: string): string {
  return earlier === undefined ? value : `${earlier}, ${value}`
}

/** RFC 9112 section 3.2: exactly one valid Host in HTTP/1.1; optional in HTTP/1.0. */
function readHost(fields: SortedFields, minorVersion: 0 | 1): string | Refusal {
  if (fields.hosts === 0 && minorVersion === 0) return ''
  if (fields.hosts !== 1) return new Refusal('bad-host', `${fields.hosts} Host lines`)
  const host = fields.host
  const port = HOST.exec(host)
  if (port === null) return new Refusal('bad-host', 'not a host name or address with an optional port')
  if (port[1] !== undefined && Number(port[1]) > 65535) return new Refusal('bad-host', 'port above 65535')
  // RFC 3986 section 6.2.3: an empty port is the default port.
  return (host.endsWith(':') ? host.slice(0, -1) : host).toLowerCase()
}

/** Whether a value is a host with an optional port, as in a Host field (RFC 9110 section 7.2). */
export function isHost(value: string): boolean {
  return HOST.test(value)
}

const HOST = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{0,5}))?$/

/** RFC 9112 section 6.3, strictly: one Content-Length, or `chunked` alone; never both, never two of either. */
function readFraming(fields: SortedFields, minorVersion: 0 | 1): BodyFraming | Refusal {
  if (fields.transferEncodings > 0) {
    if (fields.contentLengths > 0) return new Refusal('bad-framing', 'Content-Length with Transfer-Encoding')
    if (minorVersion === 0) return new Refusal('bad-framing', 'Transfer-Encoding in HTTP/1.0')
    if (fields.transferEncodings > 1 || fields.transferEncoding.toLowerCase() !== 'chunked') {
      if (fields.transferEncodings === 1 && hasUnknownCoding(fields.transferEncoding)) {
        return new Refusal('coding-unknown', 'Transfer-Encoding has an unknown coding')
      }
      return new Refusal('bad-framing', 'Transfer-Encoding is not exactly "chunked"')
    }
    return CHUNKED
  }
  if (fields.contentLengths === 0) return NO_BODY
  if (fields.contentLengths > 1 || !/^\d{1,15}$/.test(fields.contentLength)) {
    return new Refusal('bad-framing', 'Content-Length is not one number')
  }
  return { kind: 'length', bytes: Number(fields.contentLength) }
}

/**
 * Whether a Transfer-Encoding is well formed and contains an unknown coding (RFC 9112 section 6.1: 501), such as
 * `gzip, chunked`. A value that resembles `chunked`, or contains it anywhere but once at the end, is an attack.
 */
export function hasUnknownCoding(value: string): boolean {
  const codings = value.toLowerCase().split(/[ \t]*,[ \t]*/)
  if (codings.at(-1) === 'chunked') codings.pop()
  return codings.length > 0 && codings.every((coding) => CODING.test(coding) && !coding.includes('chunk'))
}

const CODING = /^[a-z0-9!#$%&'*+.^_`|~-]+$/

const NO_BODY: BodyFraming = { kind: 'none' }
const CHUNKED: BodyFraming = { kind: 'chunked' }

/**
 * RFC 9110 section 7.6.1: removes the fields that Connection lists. This happens before the gateway adds its own fields:
 * `Connection: X-Forwarded-For` must not remove the gateway's value (CVE-2022-31813).
 */
function withoutListed(fields: string[], connection: string | undefined): string[] {
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return fields
  const listed = new Set(
    connection
      .toLowerCase()
      .split(',')
      .map((token) => token.trim()),
  )
  const remaining: string[] = []
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string
    if (!listed.has(name.toLowerCase())) remaining.push(name, fields[i + 1] as string)
  }
  return remaining
}
