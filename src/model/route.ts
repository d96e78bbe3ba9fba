// Compiled routes, contexts and upstreams. config/define-routes.ts has the forms that an operator writes.
import type { AuthPolicy } from './auth.ts'
import type { HeaderList } from './request-head.ts'
import type { ShadowPolicy } from './shadow-policy.ts'

/** The two upstreams of a context: the monolith, and the service extracted from it. */
export type Side = 'legacy' | 'service'

/** Milliseconds; 0 disables a limit. */
export type Timeouts = {
  /** TCP and TLS handshake with the upstream. */
  readonly connectMs: number
  /** From the end of the request to the first byte of the response head. */
  readonly headersMs: number
  /** Silence in either direction once a body is flowing. */
  readonly idleMs: number
  /** The time that a request may wait for a free connection. */
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

/** `preserve` forwards the client's Host; `upstream` sends the host of the upstream, as serverless platforms require. */
export type HostPolicy = 'preserve' | 'upstream'

/** An active health check: `GET path` on every address. */
export type HealthCheck = {
  readonly path: string
  readonly intervalMs: number
  readonly timeoutMs: number
  /** The number of consecutive successes after which an address is available again. */
  readonly healthyAfter: number
  /** The number of consecutive failures after which an address is unavailable. */
  readonly unhealthyAfter: number
}

/** The addresses of one side, and how they are used. */
export type Upstream = {
  /** `legacy`, or the name of the service. */
  readonly name: string
  readonly side: Side
  /** Origins such as `http://127.0.0.1:3001`: scheme, host and port, no path. */
  readonly urls: readonly string[]
  /** The maximum number of open connections to each address. */
  readonly connections: number
  /** The maximum number of requests that wait for a connection to each address. */
  readonly queue: number
  /** Whether a connection serves more than one request. */
  readonly reuse: boolean
  /** How long an idle connection stays open, in milliseconds. */
  readonly keepAliveMs: number
  readonly timeouts: Timeouts
  readonly host: HostPolicy
  readonly tls: TlsOptions | undefined
  readonly health: HealthCheck | undefined
  /** Whether paths with an encoded slash or backslash are forwarded to this upstream (data by RFC 3986 section 2.2). */
  readonly allowEncodedSlashes: boolean
  /** Whether requests to this upstream have `Via`; otherwise `CDN-Loop` (RFC 8586) carries the name of the gateway. */
  readonly via: boolean
  /** Whether lines of its response heads may end in LF without CR (RFC 9112 section 2.2). */
  readonly bareLineFeeds: boolean
}

/**
 * The requests that legacy may answer if the service cannot: reads (GET, HEAD and OPTIONS), all, or no requests. The service, which
 * has its own data, never receives a write that legacy answers.
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
  /** While the flags are out of date: `hold` applies the last flags, `legacy` sends every request to legacy. */
  readonly whenStale: 'hold' | 'legacy'
  /** The age from which flags are out of date, in milliseconds. */
  readonly staleAfterMs: number
  /** `forward-only` if legacy cannot read data that the service has written: a rollback then needs force. */
  readonly rollback: 'allowed' | 'forward-only'
}

/**
 * Express middleware, such as `helmet()`, `cors()` or a rate limiter. The type is structural, so that the model does not import
 * Express; request and response are those of Express.
 */
export type Middleware = (request: never, response: never, next: (error?: unknown) => void) => unknown

/** The identity of a client without user and session: a signed id in a cookie, its address, or no identity (legacy). */
export type AnonymousPolicy = 'cookie' | 'ip' | 'legacy'

/** A change of header fields: all lines of `names` are removed, then `set` is appended. */
export type FieldRules = {
  /** In lower case. */
  readonly names: ReadonlySet<string>
  readonly set: HeaderList
}

/** The changes of header fields in requests to an upstream and in its responses; undefined without changes. */
export type HeaderRules = {
  readonly request: FieldRules | undefined
  readonly response: FieldRules | undefined
}

/** A compiled route. `context` is undefined for the one route of all paths that no context owns. */
export type Route = {
  /** The template, such as `/products/:id`. Metrics and logs use it as a label instead of the path. */
  readonly pattern: string
  readonly context: Context | undefined
  /** Path template for the service, filled with the pattern's parameters; undefined keeps the path. */
  readonly rewrite: readonly RewritePart[] | undefined
  /** The inverse rewrites of the context, that of this route first. Empty without rewrites that can be inverted. */
  readonly inverseRewrites: readonly InverseRewrite[]
  /** Overrides of the timeouts of the upstream. */
  readonly timeouts: Partial<Timeouts> | undefined
  /** Largest request body in bytes. */
  readonly maxBodyBytes: number
  /** Whether the route accepts protocol upgrades (WebSocket). */
  readonly upgrade: boolean
  /** Overrides the setting of both upstreams; undefined for their own settings. */
  readonly allowEncodedSlashes: boolean | undefined
  /** Overrides `identity.anonymous` of the map. */
  readonly anonymous: AnonymousPolicy | undefined
  readonly middleware: readonly Middleware[]
  /** Undefined where the map has no header rules. */
  readonly headers: HeaderRules | undefined
  /** The token that a request must carry; undefined if no token is required. */
  readonly auth: AuthPolicy | undefined
  /** How requests are copied to the other side; undefined without a context, or if the map disables shadowing. */
  readonly shadow: ShadowPolicy | undefined
}

/** A piece of a rewrite template: literal text, or the name of a parameter (`*` is the wildcard). */
export type RewritePart = { readonly text: string } | { readonly param: string }

/** The inverse of a rewrite: from a path of the service to the path of the client. */
export type InverseRewrite = {
  /** Matches a whole path of the service. Its groups are the parameters `names`, in order. */
  readonly expression: RegExp
  readonly names: readonly string[]
  /** The template of the client's path. */
  readonly parts: readonly RewritePart[]
  /** The prefixes in which rewrite and pattern differ, without a final slash. */
  readonly from: string
  readonly to: string
}

/** A route and the values of its parameters in one path, still percent-encoded. */
export type RouteMatch = { readonly route: Route; readonly params: Readonly<Record<string, string | undefined>> }
