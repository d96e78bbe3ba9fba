// A route in its two lives: compiled (what a request meets) and the context it belongs to. What the operator writes
// is in config/define-routes.ts.
import type { AuthPolicy } from './auth.ts'
import type { HeaderList } from './request-head.ts'
import type { ShadowPolicy } from './shadow-policy.ts'

/** Where a request can be answered: the monolith, or the service that was extracted from it. */
export type Side = 'legacy' | 'service'

/** Milliseconds; 0 switches a limit off. */
export type Timeouts = {
  /** TCP and TLS handshake with the upstream. */
  readonly connectMs: number
  /** From the request being sent to the first byte of the response head. */
  readonly headersMs: number
  /** Silence in either direction once a body is flowing. */
  readonly idleMs: number
  /** How long a request may wait for a free connection. */
  readonly queueMs: number
}

export type TlsOptions = {
  /** PEM text. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
  readonly rejectUnauthorized: boolean
}

/** `preserve` sends the client's Host on; `upstream` sends the upstream's own, as serverless URLs need. */
export type HostPolicy = 'preserve' | 'upstream'

/** An active health check: `GET path` on every address. */
export type HealthCheck = {
  readonly path: string
  readonly intervalMs: number
  readonly timeoutMs: number
  /** Successes in a row that bring an address back. */
  readonly healthyAfter: number
  /** Failures in a row that take an address out. */
  readonly unhealthyAfter: number
}

/** The addresses behind a side. */
export type Upstream = {
  /** `legacy`, or the service's name. */
  readonly name: string
  readonly side: Side
  /** Origins such as `http://127.0.0.1:3001`: scheme, host and port, no path. */
  readonly urls: readonly string[]
  /** Open connections to each address at most. */
  readonly connections: number
  /** Requests that may wait for a connection to each address at most. */
  readonly queue: number
  /** Whether a connection serves more than one request. */
  readonly reuse: boolean
  /** How long an idle connection is kept, in milliseconds. */
  readonly keepAliveMs: number
  readonly timeouts: Timeouts
  readonly host: HostPolicy
  readonly tls: TlsOptions | undefined
  readonly health: HealthCheck | undefined
  /** Let paths with an encoded slash or backslash through to this upstream (RFC 3986 section 2.2 sees them as data). */
  readonly allowEncodedSlashes: boolean
  /** Whether this upstream is sent `Via`; where it is not, `CDN-Loop` (RFC 8586) carries the gateway's name instead. */
  readonly via: boolean
  /** Whether a line of its response heads may end in LF without CR (RFC 9112 section 2.2). */
  readonly bareLineFeeds: boolean
}

/**
 * Which requests legacy may answer when the service cannot: reads (GET, HEAD and OPTIONS), all, or none. A write that
 * legacy takes is lost to the service, which has data of its own.
 */
export type FallbackPolicy = 'reads' | 'all' | false

/** A bounded context: the unit of migration. It owns routes and moves as one. */
export type Context = {
  readonly name: string
  readonly owner: string
  /** The Unleash flag whose gradual rollout is the canary percentage. */
  readonly flag: string
  readonly service: Upstream
  readonly fallback: FallbackPolicy
  /** What becomes of the context while its flags are out of date: the last ones hold, or legacy answers. */
  readonly whenStale: 'hold' | 'legacy'
  /** From what age on flags are out of date, in milliseconds. */
  readonly staleAfterMs: number
  /** Whether going back to legacy is safe: not where the service has written what legacy cannot read. */
  readonly rollback: 'allowed' | 'forward-only'
}

/**
 * Express middleware, as the ecosystem writes it (`helmet()`, `cors()`, a rate limiter). Typed by shape, so that the
 * language of the gateway needs no framework: the request and the response are Express's own.
 */
export type Middleware = (request: never, response: never, next: (error?: unknown) => void) => unknown

/** The identity of a client that has neither a user nor a session: a signed id by cookie, its address, or none (legacy). */
export type AnonymousPolicy = 'cookie' | 'ip' | 'legacy'

/** A change of header fields: all lines of the `names` are removed, then `set` is appended. */
export type FieldRules = {
  /** In lower case. */
  readonly names: ReadonlySet<string>
  readonly set: HeaderList
}

/** What the map sets and removes in requests to an upstream and in its responses; undefined where it changes nothing. */
export type HeaderRules = {
  readonly request: FieldRules | undefined
  readonly response: FieldRules | undefined
}

/** A compiled route. `context` is undefined for the one route that owns what no context claims. */
export type Route = {
  /** The template, such as `/products/:id`: a metric label and a log word, never the path itself. */
  readonly pattern: string
  readonly context: Context | undefined
  /** Path template for the service, filled with the pattern's parameters; undefined keeps the path. */
  readonly rewrite: readonly RewritePart[] | undefined
  /** Inverses of the rewrites of the context, the route's own first. Empty where nothing is rewritten or can be inverted. */
  readonly inverseRewrites: readonly InverseRewrite[]
  /** Overrides of the upstream's own timeouts. */
  readonly timeouts: Partial<Timeouts> | undefined
  /** Largest request body in bytes. */
  readonly maxBodyBytes: number
  /** Whether the route takes protocol upgrades (WebSocket). */
  readonly upgrade: boolean
  /** For both sides, instead of the upstream's own word; undefined leaves it to the upstream. */
  readonly allowEncodedSlashes: boolean | undefined
  /** Instead of the map's `identity.anonymous`. */
  readonly anonymous: AnonymousPolicy | undefined
  readonly middleware: readonly Middleware[]
  /** Undefined where the map has no header rules. */
  readonly headers: HeaderRules | undefined
  /** The token a request must carry; undefined asks for none. */
  readonly auth: AuthPolicy | undefined
  /** How it is shadowed; undefined where there is no other side, or the config says never. */
  readonly shadow: ShadowPolicy | undefined
}

/** A piece of a rewrite template: literal text, or the name of a parameter (`*` is the wildcard). */
export type RewritePart = { readonly text: string } | { readonly param: string }

/** The inverse of a rewrite: from a path of the service to the path that the client knows. */
export type InverseRewrite = {
  /** Takes the parameters, called `names` in order, out of a path that the whole template fits. */
  readonly expression: RegExp
  readonly names: readonly string[]
  /** The client's path, to be filled in. */
  readonly parts: readonly RewritePart[]
  /** The prefixes in which template and pattern differ, without a slash at the end. */
  readonly from: string
  readonly to: string
}

/** A route and the values of its parameters for one path, percent-encoded as they stood in the path. */
export type RouteMatch = { readonly route: Route; readonly params: Readonly<Record<string, string | undefined>> }
