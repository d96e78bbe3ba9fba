// The head of a request as a plain value: the input of the policy, independent of node:http.

/** Header field lines: `[name, value, name, value, ...]`, with their original order, case and repetitions. */
export type HeaderList = readonly string[]

/**
 * The head of a request, without its body. Everything from `identify` to `decide` works on this value, so that the policy does not
 * depend on the HTTP version or library.
 */
export type RequestHead = {
  readonly method: string
  /** The normal form of the path (RFC 3986 section 6.2.2): what is matched, decided on and sent upstream. */
  readonly path: string
  /** The query with its `?`, unchanged; `''` without a query. */
  readonly query: string
  /** Whether the path contains `%2F` or `%5C`: refused unless the chosen side or the route allows it. */
  readonly hasEncodedSlash: boolean
  /** Set if middleware has changed the path, which is then forwarded without the rewrite of the route. */
  readonly isPathChanged?: true
  /** The Host field (RFC 9110 section 7.2) in lower case, with its port if it has one. */
  readonly host: string
  /** The received fields, for the log and for middleware. */
  readonly headers: HeaderList
  /** The fields that are forwarded: without hop-by-hop fields, names that upstreams trust, and fields that the gateway sets. */
  readonly endToEnd: HeaderList
  /** `1` for HTTP/1.1, `0` for HTTP/1.0. */
  readonly minorVersion: 0 | 1
  /** The address of the TCP peer: a client, or a load balancer in front of the gateway. */
  readonly peerAddress: string
  /** Whether the connection to the gateway uses TLS. */
  readonly secure: boolean
  readonly body: BodyFraming
  readonly fields: ReadFields
}

/** The framing of the body (RFC 9112 section 6): no body, a length in bytes, or chunks. */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }

/** The values of the fields that the gateway reads, collected in one pass. Repeated fields are joined by `, `. */
export type ReadFields = {
  /** Repeated lines are joined by `; `: RFC 6265 section 5.4 allows one line, but HTTP/2 downgrades send several. */
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
  /** The value of the configured user header, if exactly one line has it. */
  user: string | undefined
  /** Whether a field marks the request as a shadow copy. The mark is not trusted and not forwarded, but the request is not copied. */
  saysShadow: boolean
}
