// Shadowing: which requests are copied to the side that was not chosen, what is copied, and what of it is kept.
import type {
  Counts,
  DifferenceKind,
  Field,
  Masked,
  MaskedDifference,
  Rules,
  ShadowFailure,
  Shed,
  Uncomparable,
} from './comparison.ts'
import type { Decision } from './decision.ts'
import type { Outcome } from './outcome.ts'
import type { HeaderList, RequestHead } from './request-head.ts'
import type { Route, Side, TlsOptions } from './route.ts'

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

/** A request as it is sent to a side: what the proxy would have sent there, had that side been chosen. */
export type CopyRequest = {
  /** The address that is asked: an origin such as `http://10.0.0.7:3001`. */
  readonly origin: string
  readonly tls: TlsOptions | undefined
  /** The name that is asked for in TLS; `''` where the address is its own name. */
  readonly servername: string
  readonly method: string
  readonly path: string
  /** `[name, value, ...]` with Host; without the marks of a copy, and without a body's framing. */
  readonly fields: HeaderList
  /** The names, in lower case, of fields that say who asks beside `Authorization` and `Cookie`. */
  readonly identityFields: readonly string[]
}

/** Makes the request for a side; undefined where no address of it may be asked now. */
export type CreateCopy = (side: Side) => CopyRequest | undefined

/** What sees one request go by. It only looks: nothing that it does or fails to do reaches the client. */
export type Tap = {
  /** Bytes are only lent: what is kept of them is copied. */
  readonly onRequestBody: (bytes: Buffer) => void
  /** All of the request's body has come. */
  readonly onRequestEnd: () => void
  /** The final head as the upstream sent it. @param fields `[name, value, ...]` */
  readonly onHead: (status: number, fields: HeaderList) => void
  /** Bytes are only lent. */
  readonly onBody: (bytes: Buffer, start: number, end: number) => void
  /** The client has been answered, or has gone: from here on the copy may be sent. */
  readonly close: (outcome: Outcome, copyFor: CreateCopy) => void
}

/** What the proxy knows of the shadow. */
export type Shadowing = {
  /** Undefined, at next to no cost, for a request that is not copied. */
  readonly open: (request: {
    readonly head: RequestHead
    readonly route: Route
    readonly decision: Decision
    /** What operators have said, by context; what is not there is left to the config. From 0 to 1. */
    readonly shares: ReadonlyMap<string, number>
  }) => Tap | undefined
}

/** Where each eligible request ends, at the moment it does: the label of the metric. */
export const SHADOW_OUTCOMES = [
  'matched',
  'mismatched',
  'noise',
  'inconclusive',
  'ignored',
  'uncomparable',
  'shed',
  'failed',
] as const
export type ShadowOutcome = (typeof SHADOW_OUTCOMES)[number]
/** What is said beside `uncomparable`, `shed` and `failed`; `''` beside the others. */
export type ShadowReason = Uncomparable | Shed | ShadowFailure | ''

/** An answer as an example shows it: nothing secret is left. */
export type MaskedAnswer = {
  readonly status: number
  /** `[name, value, ...]` */
  readonly headers: readonly Masked[]
  /** Null where it is no JSON, or too long to be kept: such a body cannot be shown without showing what is in it. */
  readonly body: Masked | null
  /** From being asked to the last byte, in milliseconds. */
  readonly ms: number
}

/** One request with both answers, as evidence of where they differ. */
export type Example = {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly request: { readonly method: string; readonly target: Masked; readonly headers: readonly Masked[] }
  /** Who answered the client; the other was asked with the copy. */
  readonly answeredBy: Side
  readonly legacy: MaskedAnswer
  readonly service: MaskedAnswer
  readonly differences: readonly MaskedDifference[]
}

/** An example of one field, as it is kept. */
export type StoredExample = {
  /** What a person calls the difference by: of context, route and field, by `fingerprintOf`. */
  readonly fingerprint: string
  readonly context: string
  /** The route's label: its method and template, `GET /products/:id`. */
  readonly route: string
  readonly field: Field
  readonly example: Example
}

/** Counts of one route in one stretch of time. `start` is milliseconds since 1970. */
export type RouteCounts = {
  readonly context: string
  readonly route: string
  readonly start: number
  readonly counts: Counts
}

/** How long one stretch is, in milliseconds: counts are kept by the hour. */
export const COUNT_PERIOD_MS = 3_600_000
/** What parity is said of unless another window is asked for. */
export const DEFAULT_WINDOW_MS = 24 * COUNT_PERIOD_MS

/** A field is written `kind path`: its two parts. */
export function splitField(field: Field): { readonly kind: DifferenceKind; readonly path: string } {
  const at = field.indexOf(' ')
  return { kind: field.slice(0, at) as DifferenceKind, path: field.slice(at + 1) }
}
