// Compares the header fields of two responses, except those that do not describe the response itself. Cookies are compared by name
// and attributes, because each client gets another value.
import type { HeaderList } from '../../model/request-head.ts'
import type { Findings } from './findings.ts'
import { keySegment, namedSegment, type Path } from './path.ts'

/**
 * Fields that depend on the connection (RFC 9110 section 7.6.1), on the time, on the server that answered, or on the body, which is
 * compared after decoding.
 */
const NOT_COMPARED: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['age', 'date', 'server-timing', 'x-response-time', 'x-runtime', 'retry-after'],
  ...['server', 'via', 'x-powered-by', 'x-served-by', 'x-aspnet-version', 'x-cache', 'x-cache-hits'],
  ...['content-length', 'content-encoding', 'content-md5', 'content-digest', 'repr-digest', 'digest'],
  ...[
    'x-request-id',
    'x-correlation-id',
    'x-trace-id',
    'x-amzn-trace-id',
    'traceparent',
    'tracestate',
    'traceresponse',
  ],
  ...['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset', 'ratelimit', 'ratelimit-policy'],
  ...['alt-svc', 'nel', 'report-to', 'set-cookie'],
  // Only copies get it.
  'x-shadow-accepted',
])

/** Only their presence is compared: validators are meaningful to one side only, and expiry times change. */
const ONLY_PRESENCE: ReadonlySet<string> = new Set(['etag', 'last-modified', 'expires'])

/** Lists without an order, whose members are case-insensitive. */
const SETS: ReadonlySet<string> = new Set([
  ...['vary', 'allow', 'cache-control', 'access-control-allow-methods', 'access-control-allow-headers'],
  ...['access-control-expose-headers', 'accept-ranges', 'accept-patch', 'accept-post', 'pragma'],
])

export function compareHeaders(legacy: HeaderList, service: HeaderList, findings: Findings): void {
  const fields = comparedFields(legacy)
  const others = comparedFields(service)
  for (const name of new Set([...fields.keys(), ...others.keys()])) {
    compareField(name, fields.get(name), others.get(name), findings)
  }
  compareCookies(readCookies(legacy), readCookies(service), findings)
}

function compareField(name: string, legacy: string | undefined, service: string | undefined, findings: Findings): void {
  const path: Path = ['header', keySegment(name)]
  if (legacy === undefined || service === undefined) {
    findings.differ(path, legacy === undefined ? 'extra' : 'missing', legacy ?? null, service ?? null)
  } else if (!ONLY_PRESENCE.has(name) && normalValue(name, legacy) !== normalValue(name, service)) {
    findings.leaf(path, legacy, service)
  }
}

/** The fields to compare, by name in lower case; several lines of one name are one list (RFC 9110 section 5.3). */
function comparedFields(headers: HeaderList): Map<string, string> {
  const fields = new Map<string, string>()
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase()
    if (NOT_COMPARED.has(name)) continue
    const value = headers[i + 1]!.trim()
    const existing = fields.get(name)
    fields.set(name, existing === undefined ? value : `${existing}, ${value}`)
  }
  return fields
}

function normalValue(name: string, value: string): string {
  if (SETS.has(name)) return [...new Set(parts(value.toLowerCase(), ','))].sort().join(', ')
  return name === 'content-type' ? normalMediaType(value) : value
}

/** Only the charset parameter is certainly case-insensitive; a boundary is case-sensitive. */
function normalMediaType(value: string): string {
  const [type = '', ...parameters] = parts(value, ';')
  const normalised = parameters.map((parameter) =>
    /^charset=/i.test(parameter) ? parameter.toLowerCase().replaceAll('"', '') : parameter,
  )
  return [type.toLowerCase(), ...normalised].join('; ')
}

function parts(value: string, separator: string): string[] {
  return value.split(separator).map((part) => part.trim())
}

/** A cookie of one Set-Cookie line. The attributes have names in lower case; some have no value. */
type Cookie = { readonly isRemoved: boolean; readonly attributes: ReadonlyMap<string, string> }

function compareCookies(
  legacy: ReadonlyMap<string, Cookie>,
  service: ReadonlyMap<string, Cookie>,
  findings: Findings,
): void {
  for (const name of new Set([...legacy.keys(), ...service.keys()])) {
    const cookie = legacy.get(name)
    const other = service.get(name)
    const path: Path = ['cookie', keySegment(name)]
    if (cookie === undefined || other === undefined) {
      findings.differ(path, cookie === undefined ? 'extra' : 'missing', cookie ? 'set' : null, other ? 'set' : null)
    } else if (cookie.isRemoved !== other.isRemoved) {
      // One side removes a session that the other one creates.
      findings.leaf(path, cookie.isRemoved ? 'removed' : 'set', other.isRemoved ? 'removed' : 'set')
    } else if (!cookie.isRemoved) compareAttributes(cookie.attributes, other.attributes, path, findings)
  }
}

type Attributes = ReadonlyMap<string, string>

function compareAttributes(legacy: Attributes, service: Attributes, path: Path, findings: Findings): void {
  for (const name of new Set([...legacy.keys(), ...service.keys()])) {
    const value = legacy.get(name)
    const other = service.get(name)
    path.push(namedSegment(name))
    if (value === undefined || other === undefined) {
      findings.differ(path, value === undefined ? 'extra' : 'missing', value ?? null, other ?? null)
    } else if (name !== 'expires') findings.leaf(path, value, other)
    path.pop()
  }
}

/** By name; the last line of a name counts, as in a browser. */
function readCookies(headers: HeaderList): Map<string, Cookie> {
  const cookies = new Map<string, Cookie>()
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i]!.toLowerCase() !== 'set-cookie') continue
    const [pair = '', ...rest] = headers[i + 1]!.split(';')
    const equals = pair.indexOf('=')
    // RFC 6265 section 5.2: a line without a name is ignored.
    if (equals < 1) continue
    const attributes = new Map<string, string>()
    for (const part of rest) {
      const [name = '', ...value] = part.split('=')
      const attribute = name.trim().toLowerCase()
      if (ATTRIBUTES.has(attribute)) attributes.set(attribute, normalAttribute(attribute, value.join('=').trim()))
    }
    cookies.set(pair.slice(0, equals).trim(), { isRemoved: isRemoval(attributes), attributes })
  }
  return cookies
}

/** Other attributes are ignored by browsers. Their names would be further paths, which a server could choose freely. */
const ATTRIBUTES: ReadonlySet<string> = new Set([
  ...['domain', 'path', 'expires', 'max-age', 'secure', 'httponly', 'samesite', 'partitioned', 'priority'],
])

function normalAttribute(name: string, value: string): string {
  if (name === 'domain') return value.toLowerCase().replace(/^\./, '')
  return name === 'path' || name === 'expires' ? value : value.toLowerCase()
}

/** RFC 6265 section 3.1: a cookie is removed by an expiry in the past. Servers use 1970 or a Max-Age of 0. */
function isRemoval(attributes: Attributes): boolean {
  const maxAge = attributes.get('max-age')
  if (maxAge !== undefined && /^-?\d+$/.test(maxAge)) return Number(maxAge) <= 0
  const expires = attributes.get('expires')
  return expires !== undefined && Date.parse(expires) < LONG_AGO
}

const LONG_AGO = Date.UTC(2010, 0, 1)
