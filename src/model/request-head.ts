// The request as the policy sees it: a plain value, made once, never an IncomingMessage.

/** Header field lines as they came: `[name, value, name, value, ...]`, order, case and repeats kept. */
export type HeaderList = readonly string[]

/**
 * What is known of a request before its body. Everything from `identify` to `decide` takes this value, so the lane
 * that reads bytes can change without touching the policy.
 */
export type RequestHead = {
  readonly method: string
  /** The normal form of the path (RFC 3986 section 6.2.2): what is matched, decided on and sent upstream. */
  readonly path: string
  /** The query with its `?`, byte for byte as it came; `''` where there is none. */
  readonly query: string
  /** The path holds `%2F` or `%5C`: refused unless the side that serves the route allows it. */
  readonly hasEncodedSlash: boolean
  /** Middleware changed the path: it goes upstream as it is, without the route's rewrite. Missing in all other requests. */
  readonly isPathChanged?: true
  /** The Host field (RFC 9110 section 7.2) in lower case, with its port if it had one. */
  readonly host: string
  /** As they came, for the log and for middleware. */
  readonly headers: HeaderList
  /** What goes on to any upstream: without hop-by-hop fields, forgeable names, and those that the gateway sets. */
  readonly endToEnd: HeaderList
  /** `1` for HTTP/1.1, `0` for HTTP/1.0. */
  readonly minorVersion: 0 | 1
  /** Address of the peer of the TCP connection: a client, or the load balancer in front of us. */
  readonly peerAddress: string
  /** Whether the connection to us is TLS. */
  readonly secure: boolean
  readonly body: BodyFraming
  readonly fields: ReadFields
}

/** How the message body is framed (RFC 9112 section 6): none, a known length in bytes, or chunks. */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }

/** The fields that the gateway itself reads, picked out in the one pass over the list. Repeats are joined by `, `. */
export type ReadFields = {
  /** Repeats joined by `; ` (RFC 6265 section 5.4 allows one line; HTTP/2 downgrades send several). */
  cookie: string | undefined
  connection: string | undefined
  upgrade: string | undefined
  expect: string | undefined
  trailer: string | undefined
  forwardedFor: string | undefined
  forwardedHost: string | undefined
  forwardedProto: string | undefined
  forwarded: string | undefined
  via: string | undefined
  /** CDN-Loop (RFC 8586). */
  cdnLoop: string | undefined
  requestId: string | undefined
  traceparent: string | undefined
  maxForwards: string | undefined
  /** The configured user header's value, if one is configured and exactly one line carries it. */
  user: string | undefined
  /** It says of itself that it is a copy: it is not believed, and goes no further, but is not copied again. */
  saysShadow: boolean
}
