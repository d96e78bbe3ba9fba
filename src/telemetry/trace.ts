// W3C Trace Context (https://www.w3.org/TR/trace-context/): pure functions for the field `traceparent`.
import type { Random } from '../model/ports.ts'

type Trace = {
  /** The field for the upstream. */
  readonly traceparent: string
  /** 32 lower-case hexadecimal digits, for the log. */
  readonly traceId: string
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const NO_TRACE = '0'.repeat(32)
const NO_SPAN = '0'.repeat(16)

/** The trace id of a valid field; undefined for a field that counts as absent (sections 3.2.2.3 and 4.3). */
export function parseTraceparent(field: string): { readonly traceId: string } | undefined {
  if (field.length < 55 || field.length > 512) return undefined
  const parts = TRACEPARENT.exec(field)
  if (parts === null) return undefined
  const [, version, traceId, spanId, , suffix] = parts
  if (version === 'ff' || (version === '00' && suffix !== undefined)) return undefined
  if (traceId === undefined || traceId === NO_TRACE || spanId === NO_SPAN) return undefined
  return { traceId }
}

/**
 * The trace of the client if its field is valid, otherwise a new trace.
 *
 * A valid field is not changed: the gateway exports no spans, so a parent id of its own would refer to a span that does not
 * exist. A new trace is marked as sampled: a service with the usual parent-based sampler would sample it without a gateway,
 * and `00` would switch its tracing off.
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
