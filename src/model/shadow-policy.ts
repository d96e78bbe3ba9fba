// The configuration of shadow traffic: which requests are copied, and how much that may cost.
import type { Rules } from './comparison-rules.ts'

/** How the requests of a route are shadowed. Sizes in bytes, times in milliseconds. */
export type ShadowPolicy = {
  /** The share of eligible requests that are copied, from 0 to 1; an operator's word for the context stands above it. */
  readonly sample: number
  readonly compare: Rules
  /** Of one body, of a request or of an answer; an answer that is longer is `uncomparable(truncated)`. */
  readonly maxBodyBytes: number
  /** From the copy being sent to the last byte of its answer. */
  readonly timeoutMs: number
  readonly noise: NoisePolicy
  /** Whether requests that change something are copied too: only to a service that has agreed to act as if. */
  readonly writes: 'never' | 'dry-run'
  /** Whether the copy carries the client's credentials: `Authorization`, `Cookie` and the fields that say who asks. */
  readonly identities: 'keep' | 'strip'
  /** If given, examples show only values at these places, and even they without what looks like a secret. */
  readonly showOnly: readonly string[] | undefined
}

/** What shadowing may cost the process that answers clients, all contexts together. */
export type ShadowLimits = {
  /** Bytes of captured bodies that may be held at once; a copy for which there is no room is shed. */
  readonly captureBytes: number
  /** Copies and comparisons that may be under way. */
  readonly underWay: number
  /** How late the event loop may be, in milliseconds, before new copies are shed. */
  readonly lagMs: number
  /** Of one processor, what comparing may take: above 0 and up to 1. */
  readonly cpuShare: number
}

/** How noise is learned: by asking legacy twice. */
export type NoisePolicy = {
  /** The share of copies for which legacy is asked twice while nothing is open, from 0 to 1. */
  readonly pairShare: number
  /** And while a field is open. */
  readonly pairShareOpen: number
}
