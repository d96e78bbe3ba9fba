// What is counted per bounded context: flat arrays, indexed by the positions of the labels in their closed unions.
import { REASONS, type Reason } from '../../model/decision.ts'
import { FAILURES, type Failure } from '../../model/failures.ts'
import type { Side } from '../../model/route.ts'
import { Distribution, type Sample } from './exposition.ts'

export const SIDES: readonly Side[] = ['legacy', 'service']
const REASON_NAMES = Object.keys(REASONS) as Reason[]
export const FAILURE_NAMES = Object.keys(FAILURES) as Failure[]
/** The methods of RFC 9110 and PATCH; whatever else a client invents is `OTHER`. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'] as const
const STATUS_CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx', 'other'] as const

const REASON_AT = positions(REASON_NAMES)
export const FAILURE_AT: ReadonlyMap<string, number> = positions(FAILURE_NAMES)
const METHOD_AT = positions(METHODS)
const READS: readonly string[] = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'CONNECT']
const WRITES = METHODS.flatMap((method, index) => (READS.includes(method) ? [] : [index]))
const ACCEPTED = [STATUS_CLASSES.indexOf('2xx'), STATUS_CLASSES.indexOf('3xx')]
const OTHER_METHOD = METHODS.length - 1
const OTHER_STATUS = STATUS_CLASSES.length - 1

const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const OVERHEAD_SECONDS = [0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]

/** The counts of one context; of `unowned` for what no context claims. */
export class RequestTally {
  readonly context: string
  readonly duration = [new Distribution(REQUEST_SECONDS), new Distribution(REQUEST_SECONDS)] as const
  readonly upstream = [new Distribution(REQUEST_SECONDS), new Distribution(REQUEST_SECONDS)] as const
  readonly overhead = [new Distribution(OVERHEAD_SECONDS), new Distribution(OVERHEAD_SECONDS)] as const
  readonly retries = [0, 0]
  flagMissing = 0
  private readonly requests = new Float64Array(
    SIDES.length * REASON_NAMES.length * METHODS.length * STATUS_CLASSES.length,
  )
  private readonly failures = new Float64Array(SIDES.length * FAILURE_NAMES.length)
  private readonly fallbacks = new Float64Array(FAILURE_NAMES.length)

  constructor(context: string) {
    this.context = context
  }

  request(side: 0 | 1, reason: Reason, method: string, status: number): void {
    const reasonAt = REASON_AT.get(reason)!
    const methodAt = METHOD_AT.get(method) ?? OTHER_METHOD
    const statusAt = status >= 100 && status < 600 ? ((status / 100) | 0) - 1 : OTHER_STATUS
    const at = ((side * REASON_NAMES.length + reasonAt) * METHODS.length + methodAt) * STATUS_CLASSES.length + statusAt
    this.requests[at]!++
  }

  failure(side: 0 | 1, failure: Failure): void {
    this.failures[side * FAILURE_NAMES.length + FAILURE_AT.get(failure)!]!++
  }

  fallback(failure: Failure): void {
    this.fallbacks[FAILURE_AT.get(failure)!]!++
  }

  /** All requests so far. */
  bySide(): Record<Side, number> {
    const half = this.requests.length / 2
    const sum = (some: Float64Array) => some.reduce((total, count) => total + count, 0)
    return { legacy: sum(this.requests.subarray(0, half)), service: sum(this.requests.subarray(half)) }
  }

  /** Requests that may have changed something at the service, and that it answered with 2xx or 3xx. */
  serviceWrites(): number {
    let sum = 0
    for (let reason = 0; reason < REASON_NAMES.length; reason++)
      for (const method of WRITES)
        for (const status of ACCEPTED)
          sum +=
            this.requests[((REASON_NAMES.length + reason) * METHODS.length + method) * STATUS_CLASSES.length + status]!
    return sum
  }

  requestSamples(into: Sample[]): void {
    let at = 0
    for (const side of SIDES)
      for (const reason of REASON_NAMES)
        for (const method of METHODS)
          for (const status_class of STATUS_CLASSES) {
            const value = this.requests[at++]!
            if (value > 0) into.push({ labels: { context: this.context, side, reason, method, status_class }, value })
          }
  }

  failureSamples(into: Sample[]): void {
    let at = 0
    for (const side of SIDES)
      for (const failure of FAILURE_NAMES) {
        const value = this.failures[at++]!
        if (value > 0) into.push({ labels: { context: this.context, side, failure }, value })
      }
  }

  fallbackSamples(into: Sample[]): void {
    for (const [at, failure] of FAILURE_NAMES.entries()) {
      const value = this.fallbacks[at]!
      if (value > 0) into.push({ labels: { context: this.context, failure }, value })
    }
  }

  retrySamples(into: Sample[]): void {
    for (const [at, side] of SIDES.entries()) {
      const value = this.retries[at]!
      if (value > 0) into.push({ labels: { context: this.context, side }, value })
    }
  }
}

function positions(names: readonly string[]): ReadonlyMap<string, number> {
  return new Map(names.map((name, at) => [name, at]))
}
