// What an operator writes: the migration map's types, each key with its meaning, unit and default.
import type { Algorithm } from '../model/auth.ts'
import type { Rules } from '../model/comparison-rules.ts'
import type { Middleware } from '../model/route.ts'

/**
 * Returns the map as it is: it exists so that an editor checks and completes it.
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
  /** The monolith. It answers whatever no context owns, and every context whose flag is off. */
  readonly legacy: LegacyConfig
  /** The extracted services by name. Default: none. */
  readonly services?: Readonly<Record<string, UpstreamConfig>> | undefined
  /** The bounded contexts by name: what moves, and behind which flag. Default: none. */
  readonly contexts?: Readonly<Record<string, ContextConfig>> | undefined
  /** What keeps a person on one side. Default: an anonymous cookie. */
  readonly identity?: IdentityConfig | undefined
  /**
   * Proxies in front of the gateway whose `X-Forwarded-*` fields are believed: addresses, ranges such as `10.0.0.0/8`,
   * or the names `loopback`, `linklocal`, `uniquelocal`. Default: none.
   */
  readonly trustedProxies?: readonly string[] | undefined
  /** Limits on what a client may send. */
  readonly limits?: LimitsConfig | undefined
  /** How much is tried again. */
  readonly retries?: RetriesConfig | undefined
  /** When an address of an upstream is left alone for a while, judged by the requests it fails. */
  readonly ejection?: EjectionConfig | undefined
  /** How the gateway stops. */
  readonly drain?: DrainConfig | undefined
  /** What copying and comparing may cost. */
  readonly shadowing?: ShadowingConfig | undefined
  /** How paths are compared with patterns. */
  readonly matching?: MatchingConfig | undefined
}

/** The addresses behind the monolith or a service. Exactly one of `url` and `urls` is written. */
export type UpstreamConfig = {
  /** The one address: `http` or `https`, host and port, no path: `http://127.0.0.1:3000`. */
  readonly url?: string | undefined
  /** Several addresses, among which requests are spread. */
  readonly urls?: readonly string[] | undefined
  /** An active health check of every address: its path, or the path with its pace. Default: none. */
  readonly health?: string | HealthConfig | undefined
  /** Open connections to each address at most. Default: 256. */
  readonly connections?: number | undefined
  /** Requests that may wait for a connection to each address at most; one more is refused with 503. Default: 256. */
  readonly queue?: number | undefined
  /** Whether a connection serves more than one request. Default: true. */
  readonly reuse?: boolean | undefined
  /**
   * How long an idle connection to the upstream is kept, in milliseconds. Keep it below the upstream's own limit (5 s
   * for a Node server), or the upstream closes a connection just as it is used again. Default: 4000.
   */
  readonly keepAliveMs?: number | undefined
  /** Default: connectMs 2000, headersMs 30000, idleMs 60000, queueMs 1000. */
  readonly timeouts?: TimeoutsConfig | undefined
  /**
   * The Host that the upstream is sent: `preserve` is the client's, `upstream` is the upstream's own. Default for the
   * monolith: `preserve`. Default for a service: `upstream` if an address of it is a public DNS name (it has a dot, is
   * no IP address and does not end in `.localhost`, `.local` or `.internal`), else `preserve`.
   */
  readonly host?: 'preserve' | 'upstream' | undefined
  /** TLS to the upstream. Default: the system's certificate authorities, verified. */
  readonly tls?: TlsConfig | undefined
  /**
   * Let paths with an encoded slash or backslash (`%2F`, `%5C`) through to this upstream; they are refused with 400
   * otherwise. Default: false.
   */
  readonly allowEncodedSlashes?: boolean | undefined
  /**
   * Whether the upstream is sent `Via`. An nginx with its default `gzip_proxied off` compresses no response to a request
   * with `Via`. `false` sends `CDN-Loop` (RFC 8586) instead, by which the gateway still recognises a loop. Default: true.
   */
  readonly via?: boolean | undefined
  /**
   * Whether a line of this upstream's response heads may end in LF without CR, as some old CGI programs send it. Such a
   * response is answered with 502 otherwise. Chunks and trailers need CRLF either way. Default: false.
   */
  readonly bareLineFeeds?: boolean | undefined
}

/** The monolith's addresses, and what applies to the paths that no context owns. */
export type LegacyConfig = UpstreamConfig & {
  /** Header fields that are set and removed, for the paths that no context owns. Default: none. */
  readonly headers?: HeadersConfig | undefined
  /** Express middleware that runs for the paths that no context owns, but not for WebSockets. Default: none. */
  readonly middleware?: Middleware | readonly Middleware[] | undefined
}

/** Header fields that the gateway sets and removes, in requests to the upstream and in its responses. */
export type HeadersConfig = {
  readonly request?: HeaderRulesConfig | undefined
  readonly response?: HeaderRulesConfig | undefined
}

/** A field has one rule at most. Names are compared without case. */
export type HeaderRulesConfig = {
  /** One line with this value replaces all lines of the field. */
  readonly set?: Readonly<Record<string, string>> | undefined
  /** All lines of these fields are removed. */
  readonly remove?: readonly string[] | undefined
}

/** An active health check: `GET path` on every address; an answer below 400 in time is a success. */
export type HealthConfig = {
  /** Such as `/healthz`; may have a query. */
  readonly path: string
  /** Milliseconds between two checks of an address. Default: 5000. */
  readonly intervalMs?: number | undefined
  /** Milliseconds that an answer may take; at most `intervalMs`. Default: 2000, or `intervalMs` if that is less. */
  readonly timeoutMs?: number | undefined
  /** Successes in a row that bring an address back. Default: 2. */
  readonly healthyAfter?: number | undefined
  /** Failures in a row that take an address out. Default: 3. */
  readonly unhealthyAfter?: number | undefined
}

/** Milliseconds; 0 switches a limit off. */
export type TimeoutsConfig = {
  /** TCP and TLS handshake with the upstream. Default: 2000. */
  readonly connectMs?: number | undefined
  /** From the request being sent to the first byte of the response. Default: 30000. */
  readonly headersMs?: number | undefined
  /** Silence in either direction once a body is flowing. Default: 60000. */
  readonly idleMs?: number | undefined
  /** How long a request may wait for a free connection. Default: 1000. */
  readonly queueMs?: number | undefined
}

/** PEM text, or the path of a PEM file relative to the config file. */
export type TlsConfig = {
  /** The certificate authorities to trust instead of the system's. */
  readonly ca?: string | undefined
  /** The gateway's own certificate, for an upstream that asks for one; comes with `key`. */
  readonly cert?: string | undefined
  /** The private key of `cert`. */
  readonly key?: string | undefined
  /** The name to ask for and to verify. Default: the host of the address. */
  readonly servername?: string | undefined
  /** `false` accepts any certificate: for development only. Default: true. */
  readonly rejectUnauthorized?: boolean | undefined
}

/** A bounded context: the unit of migration. It owns routes and moves as one. */
export type ContextConfig = {
  /** Who is asked about it: a team or a person. */
  readonly owner: string
  /** The name of the service that answers when the flag is on. */
  readonly service: string
  /** Its Unleash flag; the flag's gradual rollout is the canary percentage. One flag for one context. */
  readonly flag: string
  /** What it owns; at least one. */
  readonly routes: readonly (string | RouteConfig)[]
  /**
   * Which requests legacy may answer when the service cannot and trying changed nothing: `reads` (GET, HEAD, OPTIONS),
   * `all`, or none (`false`). A write that is not given to legacy gets 503. `true` is the former spelling of `reads`.
   * Default: `reads`.
   */
  readonly fallback?: 'reads' | 'all' | boolean | undefined
  /** While its flags are out of date: the last ones hold, or legacy answers. Default: `hold`. */
  readonly whenStale?: 'hold' | 'legacy' | undefined
  /** Milliseconds from which on flags are out of date. Default: 60000. */
  readonly staleAfterMs?: number | undefined
  /** `forward-only` where legacy cannot read what the service has written: `rollback` then asks for force. Default: `allowed`. */
  readonly rollback?: 'allowed' | 'forward-only' | undefined
  /** Instead of `identity.anonymous`: `ip` for clients that keep no cookies, such as git. Default: `identity.anonymous`. */
  readonly anonymous?: 'cookie' | 'ip' | 'legacy' | undefined
  /** Header fields that are set and removed, on both sides. Default: none. */
  readonly headers?: HeadersConfig | undefined
  /** The token that requests to its routes must carry. Default: none is asked for. */
  readonly auth?: AuthConfig | undefined
  /** Which of its requests are copied to the other side, to compare the answers. Default: none, until operators say so. */
  readonly shadow?: ShadowConfig | undefined
}

/**
 * A route in full. Its short form is a string: `'/api/orders/*'`, `'GET /products/:id'`, `'GET,POST /cart'`.
 *
 * Of several routes that fit a request the most specific answers: one with a `host` before one without, then literal
 * text before a parameter before the wildcard, from left to right, then one that names the method.
 */
export type RouteConfig = {
  /**
   * Starts with `/`, in normal form. `:id` is one segment or the variable part of one (`/orders/:id.json`), never
   * empty; a last segment `*` is the rest, slashes included, so `/api/*` owns `/api/x/y` but not `/api`. A literal
   * colon is written `::`.
   */
  readonly path: string
  /** Upper-case HTTP methods; GET covers HEAD. Default: every method. */
  readonly methods?: readonly string[] | undefined
  /** Only for this host, without port: `shop.example.com`, or `*.example.com` for any name below. Default: any host. */
  readonly host?: string | undefined
  /** The path the service is sent instead, made with the parameters of `path`: `/v2/products/:id`. Default: `path`'s own. */
  readonly rewrite?: string | undefined
  /** Instead of the upstream's own. */
  readonly timeouts?: TimeoutsConfig | undefined
  /** Largest request body in bytes; 0 is no limit. Default: `limits.bodyBytes`. */
  readonly maxBodyBytes?: number | undefined
  /** Whether protocol upgrades (WebSocket) are taken. Default: false. */
  readonly upgrade?: boolean | undefined
  /** Whether paths with an encoded slash or backslash are taken, on both sides. Default: what each upstream says. */
  readonly allowEncodedSlashes?: boolean | undefined
  /** Instead of `identity.anonymous`: `ip` for clients that keep no cookies, such as git. Default: the context's. */
  readonly anonymous?: 'cookie' | 'ip' | 'legacy' | undefined
  /** Express middleware that runs before the decision, such as `helmet()`. Default: none. */
  readonly middleware?: Middleware | readonly Middleware[] | undefined
  /** Over the context's, field by field. Default: the context's. */
  readonly headers?: HeadersConfig | undefined
  /** Instead of the context's, whole; `false` asks for no token. Default: the context's. */
  readonly auth?: AuthConfig | false | undefined
  /** Over the context's, key by key; `false` is never, whatever operators say. Default: the context's. */
  readonly shadow?: ShadowConfig | false | undefined
}

/**
 * Shadowing: a copy of a request goes to the side that does not answer the client, and the two answers are compared.
 * The client is answered as if there were none.
 */
export type ShadowConfig = {
  /** The share of eligible requests that are copied, from 0 to 1. `strangler shadow` stands above it. Default: 0. */
  readonly sample?: number | undefined
  /** The rules of comparing: what may differ. Whole: a route's own take the place of its context's. Default: none. */
  readonly compare?: Rules | undefined
  /** The longest body that is compared, of a request or of an answer, in bytes; up to 16777216. Default: 1048576. */
  readonly maxBodyBytes?: number | undefined
  /** Milliseconds from the copy being sent to the last byte of its answer. Default: 10000. */
  readonly timeoutMs?: number | undefined
  /** How noise is learned, by asking legacy twice. */
  readonly noise?: NoiseConfig | undefined
  /**
   * Whether requests that change something are copied too: `dry-run` only to a service that takes a copy for what it is
   * and only acts as if. Default: `never`.
   */
  readonly writes?: 'never' | 'dry-run' | undefined
  /** Whether a copy carries the client's credentials: `Authorization`, `Cookie` and who asks. Default: `keep`. */
  readonly identities?: 'keep' | 'strip' | undefined
  /**
   * Places such as `$.items[*].price` whose values examples show, and no others; what looks like a secret is masked even
   * there. Default: all places.
   */
  readonly showOnly?: readonly string[] | undefined
}

/** Shares of copies for which legacy is asked twice, from 0 to 1: what it differs in from itself is noise. */
export type NoiseConfig = {
  /** While nothing is open. Default: 0.1. */
  readonly pairShare?: number | undefined
  /** While it is open whether some field that differs is noise. Default: 1. */
  readonly pairShareOpen?: number | undefined
}

/** A bearer token (RFC 6750) that is verified before anything is forwarded. Its `sub` is the user. */
export type AuthConfig = {
  /** The token: who issued it, for whom, and the key it is signed with. */
  readonly jwt: JwtConfig
  /** Whether a request without a token is taken too, as nobody's; a bad token never is. Default: false. */
  readonly optional?: boolean | undefined
  /**
   * Claims that are passed on, each with its header: `{ email: 'X-User-Email' }`. `sub` is always passed on as
   * `X-User-Id`. No client can send any of these. Default: none.
   */
  readonly claims?: Readonly<Record<string, string>> | undefined
}

/** A signed JSON Web Token (RFC 7519). Exactly one of `jwksUri`, `publicKey` and `secretFromEnv` is written. */
export type JwtConfig = {
  /** The token's `iss`, exactly. */
  readonly issuer: string
  /** The token's `aud`, or a list of which the token names one at least. */
  readonly audience: string | readonly string[]
  /** What the issuer signs with, such as `['RS256']`: nothing else is taken. HS* goes with no other. */
  readonly algorithms: readonly Algorithm[]
  /** The issuer's JWK Set: `https`, or `http` on this machine. */
  readonly jwksUri?: string | undefined
  /** PEM text, or the path of a PEM file relative to the config file. */
  readonly publicKey?: string | undefined
  /** The environment variable that has the secret of HS*: 32 bytes for HS256, 48 for HS384, 64 for HS512, or more. */
  readonly secretFromEnv?: string | undefined
  /** Seconds that the issuer's clock may be off, for `exp`, `nbf` and `iat`. Default: 5. */
  readonly clockToleranceSeconds?: number | undefined
  /** Scopes that the token must have, all of them; else 403. Default: none. */
  readonly requiredScopes?: readonly string[] | undefined
}

/** What keeps a person on one side, in this order: user, session, anonymous. */
export type IdentityConfig = {
  /** A user id that a proxy in front has authenticated. Default: none. */
  readonly user?: UserIdentityConfig | undefined
  /** The monolith's session cookie. Default: none. */
  readonly session?: { readonly cookie: string } | undefined
  /**
   * A client with neither: `cookie` gives it a signed id, `ip` goes by its address, `legacy` keeps it on the monolith.
   * Default: `cookie`.
   */
  readonly anonymous?: 'cookie' | 'ip' | 'legacy' | undefined
}

export type UserIdentityConfig = {
  /** The header's name, such as `x-user-id`. It is removed from requests of anyone not in `trust`. */
  readonly header: string
  /** Who may set it: addresses, ranges, or `loopback`, `linklocal`, `uniquelocal`; at least one. */
  readonly trust: readonly string[]
}

/** Limits on what a client may send: sizes in bytes, times in milliseconds. */
export type LimitsConfig = {
  /** Path and query. Default: 8192. */
  readonly targetBytes?: number | undefined
  /** All header lines together. Default: 16384. */
  readonly headerBytes?: number | undefined
  /** Header lines. Default: 100. */
  readonly headerCount?: number | undefined
  /** A request body; 0 is no limit. Default: 0, as the monolith behind has always set its own. */
  readonly bodyBytes?: number | undefined
  /** To receive the whole head. Default: 10000. */
  readonly headersMs?: number | undefined
  /** Silence of a client in the middle of a body, or while it does not read its answer. Default: 60000. */
  readonly clientIdleMs?: number | undefined
  /**
   * The average rate, in bytes a second, at which a client must send its body and read its response while the gateway
   * waits for the client; 0 disables the check. Default: 0.
   */
  readonly minimumRate?: number | undefined
  /**
   * Forwarded requests of one client address whose body is still arriving; further ones wait for a place. Default: 64.
   */
  readonly uploadsPerClient?: number | undefined
  /** How long a client may stay below `minimumRate`, in milliseconds. Default: 5000. */
  readonly rateGraceMs?: number | undefined
  /** How long an idle client connection is kept; above the load balancer's own (60 s is common). Default: 65000. */
  readonly keepAliveMs?: number | undefined
  /** Client connections at a time. Default: 10000. */
  readonly connections?: number | undefined
}

/** Retries as a share of requests, so that they cannot multiply an outage. */
export type RetriesConfig = {
  /** Percent of requests that may be retries. 0 leaves only `minimumPerSecond`. Default: 20. */
  readonly budgetPercent?: number | undefined
  /** Retries a second that are always allowed. Default: 3. */
  readonly minimumPerSecond?: number | undefined
}

/** When an address is left alone, judged by the requests it fails. */
export type EjectionConfig = {
  /** Failures in a row that eject an address. Default: 5. */
  readonly consecutiveFailures?: number | undefined
  /** Milliseconds the first ejection lasts; each further one lasts longer. Default: 30000. */
  readonly baseMs?: number | undefined
  /** Milliseconds an ejection lasts at most. Default: 300000. */
  readonly maxMs?: number | undefined
  /** Percent of an upstream's addresses that may be out; a lone address may always go. Default: 50. */
  readonly maxPercent?: number | undefined
}

/** How the gateway stops after SIGTERM. It waits by itself: a Kubernetes `preStop` sleep is not needed. */
export type DrainConfig = {
  /** Milliseconds between `/readyz` failing and the listener closing, for a load balancer to notice. Default: 5000. */
  readonly noticeMs?: number | undefined
  /** Milliseconds from the signal to the end. Default: 25000, below the 30 s that Kubernetes gives by default. */
  readonly limitMs?: number | undefined
}

/** What copying and comparing may cost the process that answers clients, all contexts together. */
export type ShadowingConfig = {
  /** Bytes of captured bodies that may be held at once; a copy for which there is no room is shed. Default: 33554432. */
  readonly captureBytes?: number | undefined
  /** Copies and comparisons that may be under way; beyond that they are shed. Default: 256. */
  readonly underWay?: number | undefined
  /** Milliseconds that the event loop may be late before new copies are shed. Default: 70. */
  readonly lagMs?: number | undefined
  /**
   * The share of one processor that comparing may take, from 0.01 to 1; beyond it copies are shed. Of the only
   * processor it is what comparing may take while nothing else is to be done. Default: 0.5.
   */
  readonly cpuShare?: number | undefined
}

/** How paths are compared with patterns. */
export type MatchingConfig = {
  /** Whether `/Products` differs from `/products`. Default: true. */
  readonly caseSensitive?: boolean | undefined
  /** `ignore` takes `/products/` for `/products`; `strict` tells them apart. Default: `ignore`. */
  readonly trailingSlash?: 'ignore' | 'strict' | undefined
}
