// The types of the migration map. Editors show the docstrings: each states the meaning, the unit and the default of a key.
import type { Algorithm } from '../model/auth.ts'
import type { Rules } from '../model/comparison-rules.ts'
import type { Middleware } from '../model/route.ts'

/**
 * Returns the map unchanged. An editor checks and completes a map that is passed to this function.
 *
 * ```ts
 * import { defineRoutes } from 'strangler-gateway'
 *
 * export default defineRoutes({
 *   legacy: { url: 'http://127.0.0.1:3000' },
 *   services: { catalog: { url: 'http://127.0.0.1:3001', health: '/healthz' } },
 *   contexts: {
 *     catalog: { owner: 'team-catalog', service: 'catalog', flag: 'migrate-catalog', routes: ['GET /products/:id'] },
 *   },
 * })
 * ```
 */
export function defineRoutes(config: RoutesConfig): RoutesConfig {
  return config
}

/** The migration map: the monolith, the services extracted from it, and which context owns which routes. */
export type RoutesConfig = {
  /** The monolith. It answers every path that no context owns, and every context whose flag is off. */
  readonly legacy: LegacyConfig
  /** The extracted services by name. Default: no services. */
  readonly services?: Readonly<Record<string, UpstreamConfig>> | undefined
  /** The bounded contexts by name, each with its routes, its service and its flag. Default: no contexts. */
  readonly contexts?: Readonly<Record<string, ContextConfig>> | undefined
  /** How clients are identified, so that each stays on one side. Default: a signed id in a cookie. */
  readonly identity?: IdentityConfig | undefined
  /**
   * Proxies in front of the gateway whose `X-Forwarded-*` fields are trusted: addresses, ranges such as `10.0.0.0/8`, or the names
   * `loopback`, `linklocal`, `uniquelocal`. Default: no proxies.
   */
  readonly trustedProxies?: readonly string[] | undefined
  /** Limits on what a client may send. */
  readonly limits?: LimitsConfig | undefined
  /** The budget of retries. */
  readonly retries?: RetriesConfig | undefined
  /** When an upstream address is ejected for a while, because requests to it fail. */
  readonly ejection?: EjectionConfig | undefined
  /** The graceful shutdown. */
  readonly drain?: DrainConfig | undefined
  /** The limits of shadow traffic: memory, processor and concurrency. */
  readonly shadowing?: ShadowingConfig | undefined
  /** How paths are matched with patterns. */
  readonly matching?: MatchingConfig | undefined
}

/** The addresses of the monolith or a service. Write exactly one of `url` and `urls`. */
export type UpstreamConfig = {
  /** The address: `http` or `https`, host and port, without a path: `http://127.0.0.1:3000`. */
  readonly url?: string | undefined
  /** Several addresses, among which the gateway distributes requests. */
  readonly urls?: readonly string[] | undefined
  /** An active health check of every address: its path, or an object with its intervals. Default: no health check. */
  readonly health?: string | HealthConfig | undefined
  /** The maximum number of open connections to each address. Default: 256. */
  readonly connections?: number | undefined
  /** The maximum number of requests that wait for a connection to each address; further requests get 503. Default: 256. */
  readonly queue?: number | undefined
  /** Whether a connection is used for more than one request. Default: true. */
  readonly reuse?: boolean | undefined
  /**
   * How long an idle connection to the upstream stays open, in milliseconds. Keep it below the limit of the upstream (5 s for a Node
   * server): otherwise the upstream can close a connection at the moment at which the gateway reuses it. Default: 4000.
   */
  readonly keepAliveMs?: number | undefined
  /** Time limits of requests to the upstream. Defaults: connectMs 2000, headersMs 60000, idleMs 60000, queueMs 1000. */
  readonly timeouts?: TimeoutsConfig | undefined
  /**
   * The Host field that the upstream receives: `preserve` forwards the client's, `upstream` sends the host of the address. Default
   * for the monolith: `preserve`. Default for a service: `upstream` if one of its addresses is a public DNS name (a name with a dot
   * that does not end in `.localhost`, `.local` or `.internal`), else `preserve`.
   */
  readonly host?: 'preserve' | 'upstream' | undefined
  /** TLS to the upstream. Default: certificates are verified with the certificate authorities of the system. */
  readonly tls?: TlsConfig | undefined
  /**
   * Whether paths with an encoded slash or backslash (`%2F`, `%5C`) are forwarded to this upstream. Otherwise the gateway refuses
   * them with 400. Default: false.
   */
  readonly allowEncodedSlashes?: boolean | undefined
  /**
   * Whether requests to the upstream have `Via`. An nginx with its default `gzip_proxied off` does not compress responses to requests
   * with `Via`. `false` sends `CDN-Loop` (RFC 8586) instead, by which the gateway also detects loops. Default: true.
   */
  readonly via?: boolean | undefined
  /**
   * Whether lines of response heads may end in LF without CR, as some old CGI programs write them. Otherwise the client gets 502 for
   * such a response. Chunks and trailers always need CRLF. Default: false.
   */
  readonly bareLineFeeds?: boolean | undefined
}

/** The addresses of the monolith, and the settings of the paths that no context owns. */
export type LegacyConfig = UpstreamConfig & {
  /** Header fields to set and remove, for the paths that no context owns. Default: no changes. */
  readonly headers?: HeadersConfig | undefined
  /** Express middleware for the paths that no context owns. It does not run for WebSockets. Default: no middleware. */
  readonly middleware?: Middleware | readonly Middleware[] | undefined
}

/** Header fields that the gateway sets and removes in requests to the upstream and in its responses. */
export type HeadersConfig = {
  /** The fields of requests to the upstream. Default: no changes. */
  readonly request?: HeaderRulesConfig | undefined
  /** The fields of responses to the client. Default: no changes. */
  readonly response?: HeaderRulesConfig | undefined
}

/** A field can have one rule. Names are not case-sensitive. */
export type HeaderRulesConfig = {
  /** One line with this value replaces all lines of the field. */
  readonly set?: Readonly<Record<string, string>> | undefined
  /** All lines of these fields are removed. */
  readonly remove?: readonly string[] | undefined
}

/** An active health check: `GET path` on every address. A status below 400 within `timeoutMs` is a success. */
export type HealthConfig = {
  /** The path, such as `/healthz`; may have a query. */
  readonly path: string
  /** The interval between two checks of an address, in milliseconds. Default: 5000. */
  readonly intervalMs?: number | undefined
  /** The time limit of a response, in milliseconds; at most `intervalMs`. Default: 2000, or `intervalMs` if that is less. */
  readonly timeoutMs?: number | undefined
  /** The number of consecutive successes after which an address is available again. Default: 2. */
  readonly healthyAfter?: number | undefined
  /** The number of consecutive failures after which an address is unavailable. Default: 3. */
  readonly unhealthyAfter?: number | undefined
}

/** Time limits in milliseconds; 0 disables a limit. */
export type TimeoutsConfig = {
  /** The time for the TCP and TLS handshake with the upstream. Default: 2000. */
  readonly connectMs?: number | undefined
  /** The time from the end of the request to the first byte of the response. Default: 60000. */
  readonly headersMs?: number | undefined
  /** The longest pause in either direction while a body is transferred. Default: 60000. */
  readonly idleMs?: number | undefined
  /** The time that a request may wait for a free connection. Default: 1000. */
  readonly queueMs?: number | undefined
}

/** PEM text, or the path of a PEM file relative to the config file. */
export type TlsConfig = {
  /** The certificate authorities to trust instead of the system's. */
  readonly ca?: string | undefined
  /** The client certificate, for an upstream that requires one. Requires `key`. */
  readonly cert?: string | undefined
  /** The private key of `cert`. */
  readonly key?: string | undefined
  /** The server name to send (SNI) and to verify. Default: the host of the address. */
  readonly servername?: string | undefined
  /** `false` accepts every certificate, for development only. Default: true. */
  readonly rejectUnauthorized?: boolean | undefined
}

/** A bounded context: the unit of migration. All its routes move together. */
export type ContextConfig = {
  /** The team or person that is responsible for the context. */
  readonly owner: string
  /** The name of the service that answers when the flag is on. */
  readonly service: string
  /** The Unleash flag, whose gradual rollout is the canary percentage. Each context has its own flag. */
  readonly flag: string
  /** The routes of the context; at least one. */
  readonly routes: readonly (string | RouteConfig)[]
  /**
   * The requests that legacy may answer if the service cannot, and the attempt has changed nothing: `reads` (GET, HEAD, OPTIONS),
   * `all`, or `false` for no requests. Other requests get 503. `true` is the former spelling of `reads`. Default: `reads`.
   */
  readonly fallback?: 'reads' | 'all' | boolean | undefined
  /** While flags are out of date: `hold` applies the last flags, `legacy` sends every request to legacy. Default: `hold`. */
  readonly whenStale?: 'hold' | 'legacy' | undefined
  /** The age from which flags are out of date, in milliseconds. Default: 60000. */
  readonly staleAfterMs?: number | undefined
  /** `forward-only` if legacy cannot read data that the service has written: `rollback` then requires force. Default: `allowed`. */
  readonly rollback?: 'allowed' | 'forward-only' | undefined
  /** Overrides `identity.anonymous`: write `ip` for clients that keep no cookies, such as git. Default: `identity.anonymous`. */
  readonly anonymous?: 'cookie' | 'ip' | 'legacy' | undefined
  /** Header fields to set and remove, for both sides. Default: no changes. */
  readonly headers?: HeadersConfig | undefined
  /** The token that requests to the routes must carry. Default: no token is required. */
  readonly auth?: AuthConfig | undefined
  /** The requests that are copied to the other side, to compare the responses. Default: none until an operator enables it. */
  readonly shadow?: ShadowConfig | undefined
}

/**
 * A route in full. Its short form is a string: `'/api/orders/*'`, `'GET /products/:id'`, `'GET,POST /cart'`.
 *
 * If several routes match a request, the most specific one applies: a route with `host` before a route without; then, from left to
 * right, literal text before a parameter before the wildcard; then a route with the method before a route without methods.
 */
export type RouteConfig = {
  /**
   * The path pattern. It begins with `/` and is in normal form. `:id` matches one segment or a part of one (`/orders/:id.json`), and
   * is never empty. A last segment `*` matches the rest with its slashes: `/api/*` owns `/api/x/y`, but not `/api`. Write `::` for a
   * literal colon.
   */
  readonly path: string
  /** Upper-case HTTP methods; GET covers HEAD. Default: every method. */
  readonly methods?: readonly string[] | undefined
  /** The host, without port: `shop.example.com`, or `*.example.com` for every name below it. Default: every host. */
  readonly host?: string | undefined
  /** The path for the service, with the parameters of `path`: `/v2/products/:id`. Default: the path of the request. */
  readonly rewrite?: string | undefined
  /** Overrides of the timeouts of the upstream. */
  readonly timeouts?: TimeoutsConfig | undefined
  /** The largest request body in bytes; 0 for no limit. Default: `limits.bodyBytes`. */
  readonly maxBodyBytes?: number | undefined
  /** Whether the route accepts protocol upgrades (WebSocket). Default: false. */
  readonly upgrade?: boolean | undefined
  /** Whether paths with an encoded slash or backslash are accepted, for both sides. Default: the setting of each upstream. */
  readonly allowEncodedSlashes?: boolean | undefined
  /** Overrides `identity.anonymous`: write `ip` for clients that keep no cookies, such as git. Default: the setting of the context. */
  readonly anonymous?: 'cookie' | 'ip' | 'legacy' | undefined
  /** Express middleware that runs before the decision, such as `helmet()`. Default: no middleware. */
  readonly middleware?: Middleware | readonly Middleware[] | undefined
  /** Overrides rules of the context, field by field. Default: the rules of the context. */
  readonly headers?: HeadersConfig | undefined
  /** Replaces the `auth` of the context as a whole; `false` requires no token. Default: the `auth` of the context. */
  readonly auth?: AuthConfig | false | undefined
  /** Overrides keys of the context; `false` disables shadowing, also for operators. Default: the `shadow` of the context. */
  readonly shadow?: ShadowConfig | false | undefined
}

/**
 * Shadow traffic: the gateway sends a copy of a request to the side that does not answer the client, and compares the two responses.
 * The copy does not affect the response to the client.
 */
export type ShadowConfig = {
  /** The share of eligible requests that are copied, from 0 to 1. `strangler shadow` overrides it. Default: 0. */
  readonly sample?: number | undefined
  /** The differences that are accepted. The rules of a route replace those of its context as a whole. Default: no rules. */
  readonly compare?: Rules | undefined
  /** The longest body of a request or response that is compared, in bytes; at most 16777216. Default: 1048576. */
  readonly maxBodyBytes?: number | undefined
  /** The time from sending the copy to the last byte of its response, in milliseconds. Default: 10000. */
  readonly timeoutMs?: number | undefined
  /** How noise is learned: some requests are sent to legacy twice. */
  readonly noise?: NoiseConfig | undefined
  /**
   * Whether writes are copied. `dry-run` copies them only to a service that has confirmed that it handles copies without changing
   * anything. Default: `never`.
   */
  readonly writes?: 'never' | 'dry-run' | undefined
  /** Whether a copy carries the client's identity: `Authorization`, `Cookie` and the fields with the user id. Default: `keep`. */
  readonly identities?: 'keep' | 'strip' | undefined
  /**
   * The only places, such as `$.items[*].price`, whose values examples show. Values that look like secrets are masked there, too.
   * Default: all places.
   */
  readonly showOnly?: readonly string[] | undefined
}

/** The shares of copies that are sent to legacy twice, from 0 to 1. Fields in which its two responses differ are noise. */
export type NoiseConfig = {
  /** The share while every differing field has a verdict. Default: 0.1. */
  readonly pairShare?: number | undefined
  /** The share while a differing field has no verdict. Default: 1. */
  readonly pairShareOpen?: number | undefined
}

/** A bearer token (RFC 6750), verified before anything is forwarded. Its `sub` is the user id. */
export type AuthConfig = {
  /** The issuer and audience of the token, and the key that verifies it. */
  readonly jwt: JwtConfig
  /** Whether a request without a token is accepted, as anonymous. An invalid token is always refused. Default: false. */
  readonly optional?: boolean | undefined
  /**
   * The claims that are forwarded, each with its header: `{ email: 'X-User-Email' }`. `sub` is always forwarded as `X-User-Id`. The
   * gateway removes these headers from every client's request. Default: no further claims.
   */
  readonly claims?: Readonly<Record<string, string>> | undefined
}

/** A signed JSON Web Token (RFC 7519). Write exactly one of `jwksUri`, `publicKey` and `secretFromEnv`. */
export type JwtConfig = {
  /** The exact `iss` of the tokens. */
  readonly issuer: string
  /** The `aud` of the tokens, or a list: a token must name at least one of them. */
  readonly audience: string | readonly string[]
  /** The signature algorithms of the issuer, such as `['RS256']`. Others are refused. HS* cannot be mixed with other algorithms. */
  readonly algorithms: readonly Algorithm[]
  /** The address of the issuer's JWK Set: `https`, or `http` on this machine. */
  readonly jwksUri?: string | undefined
  /** The public key of the issuer: PEM text, or the path of a PEM file relative to the config file. */
  readonly publicKey?: string | undefined
  /** The environment variable with the secret of HS*: at least 32 bytes for HS256, 48 for HS384, 64 for HS512. */
  readonly secretFromEnv?: string | undefined
  /** The accepted difference to the issuer's clock in seconds, for `exp`, `nbf` and `iat`. Default: 5. */
  readonly clockToleranceSeconds?: number | undefined
  /** The scopes that the token must have, all of them; otherwise the client gets 403. Default: no scopes. */
  readonly requiredScopes?: readonly string[] | undefined
}

/** How clients are identified, so that each stays on one side. The order is user, session, anonymous. */
export type IdentityConfig = {
  /** The header with the user id that a proxy in front of the gateway has authenticated. Default: no header. */
  readonly user?: UserIdentityConfig | undefined
  /** The session cookie of the monolith. Default: no cookie. */
  readonly session?: { readonly cookie: string } | undefined
  /**
   * A client with neither: `cookie` gives it a signed id in a cookie, `ip` uses its address, `legacy` sends it to the monolith.
   * Default: `cookie`.
   */
  readonly anonymous?: 'cookie' | 'ip' | 'legacy' | undefined
}

/** A trusted header with the user id. */
export type UserIdentityConfig = {
  /** The name of the header, such as `x-user-id`. The gateway removes it from requests of peers that are not in `trust`. */
  readonly header: string
  /** The peers that may set the header: addresses, ranges, or `loopback`, `linklocal`, `uniquelocal`; at least one. */
  readonly trust: readonly string[]
}

/** Limits on what a client may send: sizes in bytes, times in milliseconds. */
export type LimitsConfig = {
  /** The size of path and query. Default: 8192. */
  readonly targetBytes?: number | undefined
  /** The size of all header lines together. Default: 16384. */
  readonly headerBytes?: number | undefined
  /** The number of header lines. Default: 100. */
  readonly headerCount?: number | undefined
  /** The size of a request body; 0 for no limit. Default: 0, because the monolith has its own limit. */
  readonly bodyBytes?: number | undefined
  /** The time to receive the whole head. Default: 10000. */
  readonly headersMs?: number | undefined
  /** The longest pause of a client in the middle of a body, or in reading its response. Default: 60000. */
  readonly clientIdleMs?: number | undefined
  /**
   * The minimum average rate, in bytes per second, at which a client must send its body and read its response, measured while the
   * gateway waits for the client; 0 disables the check. Default: 0.
   */
  readonly minimumRate?: number | undefined
  /**
   * The maximum number of forwarded requests of one client address whose body is still arriving; further requests wait. Default: 64.
   */
  readonly uploadsPerClient?: number | undefined
  /** How long a client may stay below `minimumRate`, in milliseconds. Default: 5000. */
  readonly rateGraceMs?: number | undefined
  /** How long an idle client connection stays open. Set it above the limit of the load balancer, often 60 s. Default: 65000. */
  readonly keepAliveMs?: number | undefined
  /** The maximum number of client connections. Default: 10000. */
  readonly connections?: number | undefined
}

/** The retry budget: retries are limited to a share of requests, so that they cannot worsen an outage. */
export type RetriesConfig = {
  /** The percentage of requests that may be retried. With 0, only `minimumPerSecond` applies. Default: 20. */
  readonly budgetPercent?: number | undefined
  /** The number of retries per second that are always allowed. Default: 3. */
  readonly minimumPerSecond?: number | undefined
}

/** The ejection of upstream addresses after failed requests (outlier detection). */
export type EjectionConfig = {
  /** The number of consecutive failures that eject an address. Default: 5. */
  readonly consecutiveFailures?: number | undefined
  /** The duration of the first ejection in milliseconds; each further ejection lasts longer. Default: 30000. */
  readonly baseMs?: number | undefined
  /** The longest duration of an ejection in milliseconds. Default: 300000. */
  readonly maxMs?: number | undefined
  /** The percentage of an upstream's addresses that may be ejected. A single address may always be ejected. Default: 50. */
  readonly maxPercent?: number | undefined
}

/** The graceful shutdown after SIGTERM. The gateway waits by itself: a Kubernetes `preStop` sleep is not necessary. */
export type DrainConfig = {
  /** The time from the failure of `/readyz` to the end of listening, in which load balancers notice, in milliseconds. Default: 5000. */
  readonly noticeMs?: number | undefined
  /** The time from the signal to the end, in milliseconds. Default: 25000, which is below the 30 s of Kubernetes. */
  readonly limitMs?: number | undefined
}

/** The limits of shadow traffic in the process that answers clients, for all contexts together. */
export type ShadowingConfig = {
  /** The maximum size of all captured bodies in memory, in bytes; further copies are shed. Default: 33554432. */
  readonly captureBytes?: number | undefined
  /** The maximum number of concurrent copies and comparisons; further copies are shed. Default: 256. */
  readonly underWay?: number | undefined
  /** The delay of the event loop, in milliseconds, above which new copies are shed. Default: 70. */
  readonly lagMs?: number | undefined
  /**
   * The share of one processor that comparisons may use, from 0.01 to 1; above it copies are shed. On a machine with one processor,
   * comparisons use this share only while the processor is otherwise idle. Default: 0.5.
   */
  readonly cpuShare?: number | undefined
}

/** How paths are matched with patterns. */
export type MatchingConfig = {
  /** Whether `/Products` and `/products` are different paths. Default: true. */
  readonly caseSensitive?: boolean | undefined
  /** `ignore` treats `/products/` as `/products`; `strict` distinguishes them. Default: `ignore`. */
  readonly trailingSlash?: 'ignore' | 'strict' | undefined
}
