// The immutable view of routes, upstreams and controls that one request uses from beginning to end.
import type { AnonymousPolicy, Context, Route, RouteMatch, Side, Upstream } from './route.ts'
import type { ShadowLimits } from './shadow-policy.ts'

/** The sources of the key that keeps a client on one side. */
export type IdentityPolicy = {
  readonly user: { readonly header: string; readonly trusts: (address: string) => boolean } | undefined
  readonly session: { readonly cookie: string } | undefined
  /** The identity of a client with neither of them. */
  readonly anonymous: AnonymousPolicy
  /**
   * The headers, in lower case, that carry verified claims on any route. They are removed from every client's request. Undefined if
   * no route requires a token.
   */
  readonly claimHeaders: ReadonlySet<string> | undefined
}

/** Limits on what a client may send; sizes in bytes, times in milliseconds. */
export type Limits = {
  readonly targetBytes: number
  readonly headerBytes: number
  readonly headerCount: number
  readonly bodyBytes: number
  /** The time to receive the whole head. */
  readonly headersMs: number
  /** The longest pause of a client in the middle of a body, or in reading its response. */
  readonly clientIdleMs: number
  /** The minimum average rate, in bytes per second, of sending a body and reading a response; 0 disables the check. */
  readonly minimumRate: number
  /** The maximum number of forwarded requests of one client address whose body is still arriving. */
  readonly uploadsPerClient: number
  /** How long a client may stay below `minimumRate`. */
  readonly rateGraceMs: number
  /** How long an idle client connection stays open. */
  readonly keepAliveMs: number
  readonly connections: number
}

/** The retry budget: retries as a share of requests, as in Envoy. */
export type RetryPolicy = { readonly budgetPercent: number; readonly minimumPerSecond: number }

/** Passive health checks, as in Envoy's outlier detection. Times in milliseconds. */
export type EjectionPolicy = {
  readonly consecutiveFailures: number
  readonly baseMs: number
  readonly maxMs: number
  /** The largest share of an upstream's addresses that may be ejected. A single address may always be ejected. */
  readonly maxPercent: number
}

export type DrainPolicy = {
  /** The time between the failure of `/readyz` and the end of listening, in which load balancers notice. */
  readonly noticeMs: number
  /** The time from the signal to the end, even if requests are in flight. */
  readonly limitMs: number
}

/** The overrides of operators, which have priority over flags. */
export type Controls = {
  /** Whether every request goes to legacy. */
  readonly isKilled: boolean
  /** The pinned side of each pinned context. */
  readonly pins: ReadonlyMap<string, Side>
  /** The share of copied requests, from 0 to 1, of each context for which an operator has set it. */
  readonly shadows: ReadonlyMap<string, number>
}

export const NO_CONTROLS: Controls = { isKilled: false, pins: new Map(), shadows: new Map() }

export type Snapshot = {
  /** The generation of the shared state from which `controls` were computed; 0 before the first change. */
  readonly generation: number
  /** The number of the config: 1 at the start, plus one for each applied edit. */
  readonly edition: number
  readonly controls: Controls
  readonly legacy: Upstream
  readonly services: ReadonlyMap<string, Upstream>
  readonly contexts: ReadonlyMap<string, Context>
  readonly routes: readonly Route[]
  /** Returns the route of a request. A path that no context owns has the route of the monolith. */
  readonly match: (method: string, host: string, path: string) => RouteMatch
  readonly trustsProxy: (address: string) => boolean
  readonly identity: IdentityPolicy
  readonly limits: Limits
  readonly retries: RetryPolicy
  readonly ejection: EjectionPolicy
  readonly drain: DrainPolicy
  readonly shadowing: ShadowLimits
}
