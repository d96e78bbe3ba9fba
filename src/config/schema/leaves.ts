// The schemas of single values. The message of each states in one sentence what to write.
import { METHODS } from 'node:http'
import { isIP } from 'node:net'
import { z } from 'zod'
import { ALGORITHMS, USER_ID_HEADER } from '../../model/auth.ts'
import type { Middleware } from '../../model/route.ts'
import { mistakeInKeySetAddress, NOT_A_KEY_SET_ADDRESS } from './key-set-address.ts'

const MAX_MS = 24 * 60 * 60 * 1000

/** A duration; `min` is 0 where 0 disables a limit. */
export const milliseconds = (min: 0 | 1) =>
  wholeNumber(min, MAX_MS, `a whole number of milliseconds${min === 0 ? ', 0 for no limit,' : ''}`)

export const count = (min: number, max: number) => wholeNumber(min, max, 'a whole number')

/** A size; 0 is no limit. */
export const bytes = (min: number, max: number) =>
  wholeNumber(min, max, `a whole number of bytes${min === 0 ? ', 0 for no limit,' : ''}`)

export const percent = (min: 0 | 1) => wholeNumber(min, 100, 'a whole number of percent')

const SHARE = 'must be a share from 0 to 1, such as 0.1 for ten in a hundred'
const CPU_SHARE = 'must be a share of one processor, from 0.01 to 1'

/** Above 0: with no processor time, requests would be copied but never compared. */
export const cpuShare = z.number({ error: CPU_SHARE }).min(0.01, { error: CPU_SHARE }).max(1, { error: CPU_SHARE })

/** A share, from 0 to 1. For a number such as 25, which is probably a percentage, the message has the share. */
export const share = z.number({ error: SHARE }).superRefine((value, context) => {
  if (value >= 0 && value <= 1) return
  const meant =
    value > 1 && value <= 100
      ? `must be a share: shares are from 0 to 1; write ${Number((value / 100).toPrecision(12))} for ${value} %`
      : SHARE
  context.addIssue(meant)
})

export const flag = z.boolean({ error: 'must be true or false, without quotes' })

export const oneOf = <const Words extends readonly [string, ...string[]]>(words: Words) =>
  z.enum(words, { error: `must be one of ${words.map((word) => `"${word}"`).join(', ')}` })

/** `true` is the former spelling of `reads`. */
export const fallback = z.union([z.enum(['reads', 'all']), z.boolean()], {
  error: 'must be "reads" (GET, HEAD and OPTIONS), "all" or false',
})

/** A text on one line, such as a team's name. */
export const words = (max: number) =>
  matching(new RegExp(`^[^\\p{Cc}]{1,${max}}$`, 'u'), `must be a text of 1 to ${max} characters, on one line`)

/** Unleash accepts only names that need no encoding in a URL. */
export const flagName = matching(
  /^[A-Za-z0-9_.~-]{1,100}$/,
  'must be an Unleash flag name: 1 to 100 letters, digits, "-", "_", "." or "~"',
).refine((name) => name !== '.' && name !== '..', { error: 'must not be "." or "..": Unleash does not accept it' })

const HEADER_VALUE = 'must be a text of printable ASCII characters on one line, without spaces at its ends'

const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/

export const cookieName = matching(TOKEN, 'must be a cookie name such as "sid" (RFC 6265 section 4.1.1)')

export const headerName = matching(TOKEN, 'must be a header name such as "X-Api-Key" (RFC 9110 section 5.1)')

/** RFC 9110 section 5.5, in ASCII. */
export const headerValue = z.string({ error: HEADER_VALUE }).superRefine((value, context) => {
  if (!/^(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?$/.test(value)) context.addIssue(HEADER_VALUE)
})

/** Fields that the transport or the gateway writes: they cannot identify the user. */
const NOT_IDENTITY =
  /^(host|cookie|authorization|connection|content-length|transfer-encoding|upgrade|te|trailer|keep-alive|via|cdn-loop|forwarded|x-forwarded-.*|x-request-id|traceparent|tracestate)$/

export const userHeader = matching(TOKEN, 'must be a header name such as "x-user-id" (RFC 9110 section 5.1)')
  .transform((name) => name.toLowerCase())
  .superRefine((name, context) => {
    if (name.includes('_')) {
      context.addIssue('must have no "_": names with underscores are dropped before they are read; write "-"')
    }
    if (NOT_IDENTITY.test(name)) {
      context.addIssue('must be a header of its own: this one already has a meaning; write one such as "x-user-id"')
    }
  })

/** Fields to which the transport, the gateway or a framework behind it gives another meaning. */
const NOT_A_CLAIM =
  /^x-(forwarded|original|rewrite|remote|real-ip|client-ip|cluster|http|method|request-id|strangler|shadow|middleware)(-|$)/

/** The header that carries a claim. It is removed from every client's request, so it cannot be a field of HTTP itself. */
export const claimHeader = matching(
  TOKEN,
  'must be a header name such as "X-User-Email" (RFC 9110 section 5.1)',
).superRefine((name, context) => {
  const lower = name.toLowerCase()
  if (name.includes('_')) {
    context.addIssue('must have no "_": some servers read it as "-", and a client could then set the header; write "-"')
  } else if (!lower.startsWith('x-')) {
    context.addIssue(`must begin with "X-", as the gateway removes it from requests; write "X-${name}" for example`)
  } else if (lower === USER_ID_HEADER.toLowerCase()) {
    context.addIssue(`is already the header of "sub"; write another, such as "X-User-Email"`)
  } else if (NOT_A_CLAIM.test(lower)) {
    context.addIssue('must be a header of its own: this one already has a meaning; write one such as "X-User-Email"')
  }
})

/** A supported algorithm of RFC 7518 section 3.1. */
export const algorithm = z.string({ error: 'must be an algorithm such as "RS256"' }).superRefine((name, context) => {
  if (Object.hasOwn(ALGORITHMS, name)) return
  const upper = name.toUpperCase()
  if (upper === 'NONE') {
    context.addIssue(
      'must not be "none": everybody can write a token without a signature; write the algorithm of your issuer',
    )
  } else if (Object.hasOwn(ALGORITHMS, upper)) {
    context.addIssue(`must be upper-case; write "${upper}"`)
  } else {
    context.addIssue(`is not supported; write one of ${Object.keys(ALGORITHMS).join(', ')}`)
  }
})

const CLAIM_TEXT = /^[^\p{Cc}]{1,1000}$/u

export const issuer = matching(
  CLAIM_TEXT,
  'must be the "iss" of your tokens, exactly, such as "https://login.example.com/"',
)

const AUDIENCE = 'must be the "aud" of your tokens, such as "shop", or a list of which a token names one'

const audienceName = matching(CLAIM_TEXT, AUDIENCE)

/** One audience or a list; the output is a list. */
export const audience = z
  .union([audienceName, z.array(audienceName, { error: AUDIENCE }).nonempty({ error: AUDIENCE })], { error: AUDIENCE })
  .transform((value): string[] => [value].flat())

/** RFC 6749 section 3.3. */
export const scope = matching(/^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/, 'must be one scope such as "orders:read"')

export const variableName = matching(
  /^[A-Za-z_][A-Za-z0-9_]{0,199}$/,
  'must be the name of an environment variable such as "SHOP_JWT_SECRET", not the secret itself',
)

/** The address of a JWK Set. */
export const jwksUri = z.string({ error: NOT_A_KEY_SET_ADDRESS }).superRefine((text, context) => {
  const mistake = mistakeInKeySetAddress(text)
  if (mistake !== undefined) context.addIssue(mistake)
})

const RANGES = ['loopback', 'linklocal', 'uniquelocal']

/** An address, a range, or a name of ranges that proxy-addr defines. */
export const addressRange = z
  .string({ error: 'must be an address or a range such as "10.0.0.0/8"' })
  .superRefine((text, context) => {
    if (RANGES.includes(text)) return
    const [address = '', prefix, ...rest] = text.split('/')
    const family = isIP(address)
    if (family === 0 || address.includes('%') || rest.length > 0) {
      context.addIssue(`must be an IP address, a range such as "10.0.0.0/8", or one of ${RANGES.join(', ')}`)
    } else if (prefix !== undefined && !/^\d{1,3}$/.test(prefix)) {
      context.addIssue('must have the length of its prefix after "/", such as "10.0.0.0/8"')
    } else if (prefix !== undefined && Number(prefix) === 0) {
      context.addIssue('would trust every client; write the ranges of your own proxies')
    } else if (prefix !== undefined && Number(prefix) > (family === 4 ? 32 : 128)) {
      context.addIssue(`must have a prefix of at most ${family === 4 ? 32 : 128}`)
    }
  })

/** Scheme, host and port; the output is the origin, without a final slash. */
export const origin = z
  .string({ error: 'must be an address such as "http://127.0.0.1:3001"' })
  .transform((text, context) => {
    const url = URL.parse(text)
    const fail = (message: string) => {
      context.addIssue(message)
      return z.NEVER
    }
    if (url === null) return fail('must be an address such as "http://127.0.0.1:3001"')
    if (url.protocol !== 'http:' && url.protocol !== 'https:') return fail('must begin with "http://" or "https://"')
    if (url.username !== '' || url.password !== '') {
      return fail(`must have no user and password; write "${url.origin}" and let middleware set Authorization`)
    }
    if (url.pathname !== '/' || /[?#]/.test(text)) {
      return fail(`must have no path, query or fragment; write "${url.origin}" and put the path into a route's rewrite`)
    }
    if (url.port === '0' || url.hostname === '') return fail('must have a host, and a port other than 0')
    return url.origin
  })

/** The path of a health check. */
export const healthPath = matching(
  /^\/[\x21\x24-\x7e]{0,1000}$/,
  'must be a path such as "/healthz"; percent-encode other characters',
)

const LABEL = '[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?'
const HOST = new RegExp(`^(\\*\\.)?${LABEL}(\\.${LABEL})*$`)

/** The host of a route: an exact name, or `*.` and a domain for every name below it. */
export const routeHost = z
  .string({ error: 'must be a host name such as "shop.example.com" or "*.example.com"' })
  .transform((text) => text.toLowerCase())
  .superRefine((text, context) => {
    if (isIP(text.replace(/^\[(.*)\]$/, '$1')) === 6) {
      if (!text.startsWith('[')) context.addIssue(`must be written as in a URL: "[${text}]"`)
    } else if (/:\d*$/.test(text)) {
      context.addIssue('must have no port: a route answers for its host on every port')
    } else if (text.length > 253 || !HOST.test(text)) {
      const encoded = URL.parse(`http://${text}`)?.hostname
      const hint = encoded !== undefined && HOST.test(encoded) ? `; write "${encoded}"` : ''
      context.addIssue(`must be a host name such as "shop.example.com" or "*.example.com"${hint}`)
    }
  })

export const serverName = matching(
  new RegExp(`^${LABEL}(\\.${LABEL})*$`, 'i'),
  'must be the host name in the upstream’s certificate',
).refine((name) => isIP(name) === 0, { error: 'must be a name: TLS has no server name for an address' })

const METHOD_LIST: ReadonlySet<string> = new Set(METHODS)

/** The methods of a route; the output has no duplicates. */
export const methods = z
  .array(
    z.string({ error: 'must be a method such as "GET"' }).superRefine((method, context) => {
      if (method === 'CONNECT' || method === 'TRACE') context.addIssue('is refused by the gateway; leave it out')
      else if (!METHOD_LIST.has(method)) {
        const upper = method.toUpperCase()
        context.addIssue(METHOD_LIST.has(upper) ? `must be upper-case; write "${upper}"` : 'is not an HTTP method')
      }
    }),
    { error: 'must be a list of methods such as ["GET", "POST"]' },
  )
  .nonempty({ error: 'must contain a method; leave "methods" out for every method' })
  .transform((list) => [...new Set(list)])

const isFunction = (value: unknown): value is Middleware => typeof value === 'function'

/** One function or a list of functions; the output is a list. */
export const middleware = z
  .custom<Middleware | readonly Middleware[]>(
    (value) => isFunction(value) || (Array.isArray(value) && value.flat(Number.POSITIVE_INFINITY).every(isFunction)),
    { error: 'must be an Express middleware (a function) or a list of them' },
  )
  .transform((value): Middleware[] => [value].flat(Number.POSITIVE_INFINITY) as Middleware[])

function wholeNumber(min: number, max: number, unit: string) {
  const error = `must be ${unit} from ${min} to ${max}`
  return z.number({ error }).refine((value) => Number.isInteger(value) && value >= min && value <= max, { error })
}

function matching(expression: RegExp, error: string) {
  return z.string({ error }).regex(expression, { error })
}
