// What the admin server needs from the rest of the gateway.
import type { Control } from '../../control/control.ts'
import type { ComparisonViews } from '../../model/comparison-views.ts'
import type { FileRejection } from '../../model/file-rejection.ts'
import type { Clock } from '../../model/ports.ts'
import type { FindKey, JwtPolicy } from '../access/verify-jwt.ts'
import type { ExplainRequest, Explanation } from '../contract/explanation.ts'
import type { MetricsPage } from './metrics-page.ts'

/** Whether a load balancer should send traffic to this gateway, and the state behind the answer. */
export type Readiness = {
  readonly status: 'starting' | 'ready' | 'draining'
  /** The edition of the config that routes new requests. */
  readonly edition: number
  /** The generation of the shared state that decides new requests. */
  readonly generation: number
  /** Whether all requests go to legacy, by the kill switch or by the kill file of this gateway. */
  readonly killed: boolean
  readonly store: {
    readonly kind: string
    readonly connected: boolean
    /** How long the store has been unreachable; 0 while it is connected. */
    readonly cutOffSeconds: number
  }
  readonly stateFolder: {
    /** False after a write that the disk has refused, until a later write succeeds. */
    readonly writable: boolean
    /** The code of that error, such as `ENOSPC`; null while the folder is writable. */
    readonly code: string | null
    /** Milliseconds since 1970; null while the folder is writable. */
    readonly since: number | null
  }
  readonly flags: {
    readonly source: string
    /** Null until flags are read for the first time. */
    readonly ageSeconds: number | null
    readonly stale: boolean
    /** Unleash rejects the API token. A retry does not help. */
    readonly refused: boolean
  }
  readonly upstreams: readonly {
    readonly name: string
    readonly available: number
    readonly addresses: number
  }[]
  /** Maps and flags files on disk whose content was rejected. */
  readonly rejectedFiles: readonly FileRejection[]
}

/** The services of the routes that need no token. */
export type ProbeServices = { readonly metrics: MetricsPage; readonly readiness: () => Readiness }

/** The services of the API. */
export type ApiServices = {
  readonly control: Control
  /** Explains why this gateway sends a request to the side it goes to. */
  readonly explain: (request: ExplainRequest) => Promise<Explanation>
  /** The results of comparing the sides, on all gateways. */
  readonly comparisons: ComparisonViews
  readonly auth: AdminAuth
  readonly clock: Clock
  /** Whether every change must have a reason. */
  readonly requireReason: boolean
}

/** The tokens that the API accepts. Without `token` and `jwt`, the gateway creates a token of its own. */
export type AdminAuth = {
  /** The folder in which the gateway stores the token that it creates. */
  readonly stateDir: string
  readonly token: string | undefined
  readonly jwt: JwtPolicy | undefined
  /** Finds the keys of `jwt` if an issuer publishes them. */
  readonly findKey: FindKey
}
