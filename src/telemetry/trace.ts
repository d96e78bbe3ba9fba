// W3C Trace Context (https://www.w3.org/TR/trace-context/): pure functions over the `traceparent` field.
import type { Random } from '../model/ports.ts'

export type Trace = {
  /** What is sent upstream. */
  readonly traceparent: string
  /** 32 lower-case hexadecimal digits: the log word. */
  readonly traceId: string
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const NO_TRACE = '0'.repeat(32)
const NO_SPAN = '0'.repeat(16)

/** The trace id of a valid field; undefined for one that must be treated as absent (section 3.2.2.3 and 4.3). */
export function parseTraceparent(field: string): { readonly traceId: string } | undefined {
  if (field.length < 55 || field.length > 512) return undefined
  const parts = TRACEPARENT.exec(field)
  if (parts === null) return undefined
  const [, version, traceId, spanId, , more] = parts
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined
  if (traceId === undefined || traceId === NO_TRACE || spanId === NO_SPAN) return undefined
  return { traceId }
}

/**
 * The client's trace if it sent a valid one, else a new one.
 *
 * A valid field goes on byte for byte: the gateway exports no spans, so a parent id of its own would leave every
 * span behind it with a parent that nobody has ever seen. A new trace is marked as sampled, because that is what a
 * service with the usual parent-based sampler would have done had there been no gateway; `00` would switch its
 * tracing off.
 */
export function continueTrace(traceparent: string | undefined, random: Random): Trace {
  if (traceparent !== undefined) {
    const trace = parseTraceparent(traceparent)
    if (trace !== undefined) return { traceparent, traceId: trace.traceId }
  }
  const ids = random.hex(24)
  const traceId = ids.slice(0, 32)
  return { traceparent: `00-${traceId}-${ids.slice(32)}-01`, traceId }
}
