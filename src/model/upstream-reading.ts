import type { Side } from './route.ts'

/** The addresses of an upstream, as one gateway sees them now. */
export type UpstreamReading = {
  readonly name: string
  readonly side: Side
  readonly addresses: number
  readonly unavailable: readonly AddressOutage[]
}

/** An address that gets no requests. */
export type AddressOutage = {
  readonly address: string
  /** The failure or the result of the health check. */
  readonly why: string
  /** For how long it has been unavailable, in milliseconds. */
  readonly forMs: number
  /** When the ejection ends, in milliseconds from now; null until the health check of the address passes. */
  readonly endsInMs: number | null
}
