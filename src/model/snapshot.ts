// The immutable view of routes and upstreams that one request uses from its first line to its last.
import type { AnonymousPolicy, Context, Route, RouteMatch, Side, Upstream } from './route.ts'
import type { ShadowLimits } from './shadow-policy.ts'

/** Where the key that keeps a person on one side comes from. */
export type IdentityPolicy = {
  readonly user: { readonly header: string; readonly trusts: (address: string) => boolean } | undefined
  readonly session: { readonly cookie: string } | undefined
  /** What becomes of a client with neither: an id by cookie, its address, or legacy. */
  readonly anonymous: AnonymousPolicy
  /**
   * The headers, in lower case, that carry verified claims on any route: dropped from what every client sends.
   * Undefined where no route asks for a token.
   */
  readonly claimHeaders: ReadonlySet<string> | undefined
}

/** Limits on what a client may send; sizes in bytes, times in milliseconds. */
export type Limits = {
  readonly targetBytes: number
  readonly headerBytes: number
  readonly headerCount: number
  readonly bodyBytes: number
  /** To receive the whole head. */
  readonly headersMs: number
  /** Silence of a client in the middle of a body, or while it does not read its answer. */
  readonly clientIdleMs: number
  /** Bytes a second, on average, that a client must send of its body and read of its response; 0 disables the check. */
  readonly minimumRate: number
  /** Forwarded requests of one client address whose body is still arriving. */
  readonly uploadsPerClient: number
  /** How long a client may stay below `minimumRate`. */
  readonly rateGraceMs: number
  /** How long an idle client connection is kept. */
  readonly keepAliveMs: number
  readonly connections: number
}

/** Retries as a share of requests, after Envoy's retry budget. */
export type RetryPolicy = { readonly budgetPercent: number; readonly minimumPerSecond: number }

/** Passive health, after Envoy's outlier detection. Times in milliseconds. */
export type EjectionPolicy = {
  readonly consecutiveFailures: number
  readonly baseMs: number
  readonly maxMs: number
  /** Never eject more than this share of an upstream's addresses, except that a lone address may go. */
  readonly maxPercent: number
}

export type DrainPolicy = {
  /** Between `/readyz` failing and the listener closing: time for a load balancer to notice. */
  readonly noticeMs: number
  /** From the signal to the end, whatever is still in flight. */
  readonly limitMs: number
}

/** What operators have said that stands above the flags. */
export type Controls = {
  /** Everything is legacy's. */
  readonly isKilled: boolean
  /** By context; one that is not here is decided by its flag. */
  readonly pins: ReadonlyMap<string, Side>
  /** The share that is shadowed, from 0 to 1, by context; one that is not here is shadowed as its config says. */
  readonly shadows: ReadonlyMap<string, number>
}

export const NO_CONTROLS: Controls = { isKilled: false, pins: new Map(), shadows: new Map() }

export type Snapshot = {
  /** Of the shared state that `controls` were made from; 0 before anybody said anything. */
  readonly generation: number
  /** Of the config: raised by one with every edit that is applied, from 1 at the start. */
  readonly edition: number
  readonly controls: Controls
  readonly legacy: Upstream
  readonly services: ReadonlyMap<string, Upstream>
  readonly contexts: ReadonlyMap<string, Context>
  readonly routes: readonly Route[]
  /** The route that owns a path; what no context claims is the monolith's, so there is always one. */
  readonly match: (method: string, host: string, path: string) => RouteMatch
  readonly trustsProxy: (address: string) => boolean
  readonly identity: IdentityPolicy
  readonly limits: Limits
  readonly retries: RetryPolicy
  readonly ejection: EjectionPolicy
  readonly drain: DrainPolicy
  readonly shadowing: ShadowLimits
}
