import type { Side } from './route.ts'

/** The addresses of an upstream in the view of one gateway. */
export type UpstreamReading = {
  readonly name: string
  readonly side: Side
  readonly addresses: number
  readonly unavailable: readonly AddressOutage[]
}

/** An address that receives no requests. */
export type AddressOutage = {
  readonly address: string
  /** The failure or the result of the health check. */
  readonly why: string
  /** How long it has been unavailable, in milliseconds. */
  readonly forMs: number
  /** When the ejection ends, in milliseconds from now; null until the health check of the address passes. */
  readonly endsInMs: number | null
}
