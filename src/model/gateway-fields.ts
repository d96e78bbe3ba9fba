// The header fields that belong to the gateway or to one connection. Neither clients nor header rules change them.

/** Request fields that the gateway reads, in lower case. It sets them itself or rewrites them for the next hop. */
export const READ_FIELDS = [
  'host',
  'content-length',
  'transfer-encoding',
  'cookie',
  'connection',
  'upgrade',
  'expect',
  'trailer',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'forwarded',
  'via',
  // Listed here so that `Connection` cannot name it: no client may remove it (RFC 8586 section 2).
  'cdn-loop',
  'x-request-id',
  'traceparent',
  'max-forwards',
  'x-shadow',
] as const

/** Request fields that are dropped from every request, in lower case. */
export const DROPPED_FIELDS = [
  // Hop-by-hop fields (RFC 9110 section 7.6.1) and fields for the next hop only. `HTTP2-Settings` is half of an upgrade to h2c,
  // which RFC 9113 section 3.1 withdrew: if it were forwarded, a client could open a tunnel that bypasses every check.
  'keep-alive',
  'proxy-connection',
  'proxy-authorization',
  'proxy-authenticate',
  'te',
  'http2-settings',
  'alt-svc',
  // Names that frameworks trust: an upstream would take the value of a client for the value of the gateway.
  'x-forwarded',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'true-client-ip',
  'x-rewrite-url',
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-user',
  'x-user-id',
  'remote-user',
  'x-authenticated-user',
] as const

/** Families of such names, in lower case. Their last part depends on the framework, the login proxy or the service mesh. */
export const DROPPED_FAMILIES =
  /^x-(?:forwarded|user|original|remote|auth-request|webauth|middleware|strangler|shadow)-/

const NOT_FOR_REQUEST_RULES: ReadonlySet<string> = new Set<string>([...READ_FIELDS, ...DROPPED_FIELDS])

/** Response fields of the connection or the framing, fields that the gateway drops, and fields that it sets. */
const NOT_FOR_RESPONSE_RULES: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'transfer-encoding',
  'trailer',
  'te',
  'upgrade',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'alt-svc',
  'x-request-id',
])

/** The fields of a WebSocket handshake (RFC 6455 section 4): a change would break the tunnel. */
const HANDSHAKE = 'sec-websocket-'

/**
 * Whether header rules and middleware may change this request field. They may change `Cookie`: the gateway reads it, but forwards
 * it unchanged.
 */
export function mayChangeRequestField(name: string): boolean {
  const lower = name.toLowerCase()
  if (lower === 'cookie') return true
  return !(
    lower.includes('_') ||
    lower.startsWith(HANDSHAKE) ||
    NOT_FOR_REQUEST_RULES.has(lower) ||
    DROPPED_FAMILIES.test(lower)
  )
}

/** Whether header rules may change this response field. */
export function mayChangeResponseField(name: string): boolean {
  const lower = name.toLowerCase()
  return !lower.startsWith(HANDSHAKE) && !NOT_FOR_RESPONSE_RULES.has(lower)
}
