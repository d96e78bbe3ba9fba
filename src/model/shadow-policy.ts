// The configuration of shadow traffic: which requests are copied, and how much that may cost.
import type { Rules } from './comparison-rules.ts'

/** How the requests of a route are shadowed. Sizes in bytes, times in milliseconds. */
export type ShadowPolicy = {
  /** The share of eligible requests that are copied, from 0 to 1. An operator can override it for a context. */
  readonly sample: number
  readonly compare: Rules
  /** The limit for the body of a request or a response. A longer response is `uncomparable(truncated)`. */
  readonly maxBodyBytes: number
  /** From sending the copy to the last byte of its response. */
  readonly timeoutMs: number
  readonly noise: NoisePolicy
  /** Whether writes are copied: `dry-run` copies them only to a service that has confirmed that it supports dry runs. */
  readonly writes: 'never' | 'dry-run'
  /** Whether the copy carries the client's identity: `Authorization`, `Cookie` and the fields with the user id. */
  readonly identities: 'keep' | 'strip'
  /** If set, examples show values only at these places, and mask values there that look like secrets. */
  readonly showOnly: readonly string[] | undefined
}

/** The limits of shadowing in the process that answers clients, for all contexts together. */
export type ShadowLimits = {
  /** The maximum size of all captured bodies in memory, in bytes. Further copies are shed. */
  readonly captureBytes: number
  /** The maximum number of concurrent copies and comparisons. */
  readonly underWay: number
  /** The delay of the event loop, in milliseconds, above which new copies are shed. */
  readonly lagMs: number
  /** The share of one processor that comparisons may use: above 0 and up to 1. */
  readonly cpuShare: number
}

/** How noise is learned: some requests are sent to legacy twice, and the two responses are compared. */
export type NoisePolicy = {
  /** The share of copies that are also sent to legacy a second time, from 0 to 1, while every differing field has a verdict. */
  readonly pairShare: number
  /** The same share while a differing field has no verdict. */
  readonly pairShareOpen: number
}
