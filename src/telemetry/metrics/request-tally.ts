// The counts of one bounded context: flat arrays, indexed by the positions of the labels in their closed unions.
import { REASONS, type Reason } from '../../model/decision.ts'
import { FAILURES, type Failure } from '../../model/failures.ts'
import type { Side } from '../../model/route.ts'
import { Distribution, type Sample } from './exposition.ts'

const SIDES: readonly Side[] = ['legacy', 'service']
const REASON_NAMES = Object.keys(REASONS) as Reason[]
export const FAILURE_NAMES = Object.keys(FAILURES) as Failure[]
/** The methods of RFC 9110 and PATCH. Any other method is counted as `OTHER`: clients can invent methods. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'OTHER'] as const
const STATUS_CLASSES = ['1xx', '2xx', '3xx', '4xx', '5xx', 'other'] as const

const REASON_INDEX = indexByName(REASON_NAMES)
export const FAILURE_INDEX: ReadonlyMap<string, number> = indexByName(FAILURE_NAMES)
const METHOD_INDEX = indexByName(METHODS)
const READ_METHODS: readonly string[] = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'CONNECT']
const WRITE_METHODS = METHODS.flatMap((method, index) => (READ_METHODS.includes(method) ? [] : [index]))
const SUCCESS_CLASSES = [STATUS_CLASSES.indexOf('2xx'), STATUS_CLASSES.indexOf('3xx')]
const OTHER_METHOD = METHODS.length - 1
const OTHER_STATUS = STATUS_CLASSES.length - 1

const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const OVERHEAD_SECONDS = [0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]

type TimePart = 'duration' | 'upstream' | 'overhead'

export class RequestTally {
  readonly context: string
  readonly duration = [new Distribution(REQUEST_SECONDS), new Distribution(REQUEST_SECONDS)] as const
  readonly upstream = [new Distribution(REQUEST_SECONDS), new Distribution(REQUEST_SECONDS)] as const
  readonly overhead = [new Distribution(OVERHEAD_SECONDS), new Distribution(OVERHEAD_SECONDS)] as const
  readonly retries = [0, 0]
  readonly #requests = new Float64Array(SIDES.length * REASON_NAMES.length * METHODS.length * STATUS_CLASSES.length)
  readonly #failures = new Float64Array(SIDES.length * FAILURE_NAMES.length)
  readonly #fallbacks = new Float64Array(FAILURE_NAMES.length)

  constructor(context: string) {
    this.context = context
  }

  countRequest(side: 0 | 1, reason: Reason, method: string, status: number): void {
    const statusClass = status >= 100 && status < 600 ? ((status / 100) | 0) - 1 : OTHER_STATUS
    this.#requests[
      requestIndex(side, REASON_INDEX.get(reason)!, METHOD_INDEX.get(method) ?? OTHER_METHOD, statusClass)
    ]!++
  }

  countFailure(side: 0 | 1, failure: Failure): void {
    this.#failures[side * FAILURE_NAMES.length + FAILURE_INDEX.get(failure)!]!++
  }

  countFallback(failure: Failure): void {
    this.#fallbacks[FAILURE_INDEX.get(failure)!]!++
  }

  /** Requests so far. */
  requestsBySide(): Record<Side, number> {
    const half = this.#requests.length / 2
    const sum = (counts: Float64Array) => counts.reduce((total, count) => total + count, 0)
    return { legacy: sum(this.#requests.subarray(0, half)), service: sum(this.#requests.subarray(half)) }
  }

  /** Requests that may have changed data of the service, and that the service answered with 2xx or 3xx. */
  serviceWrites(): number {
    let sum = 0
    for (let reason = 0; reason < REASON_NAMES.length; reason++)
      for (const method of WRITE_METHODS)
        for (const statusClass of SUCCESS_CLASSES) sum += this.#requests[requestIndex(1, reason, method, statusClass)]!
    return sum
  }

  addRequestSamples(samples: Sample[]): void {
    const { context } = this
    let index = 0
    for (const side of SIDES)
      for (const reason of REASON_NAMES)
        for (const method of METHODS)
          for (const status_class of STATUS_CLASSES) {
            const value = this.#requests[index++]!
            if (value > 0) samples.push({ labels: { context, side, reason, method, status_class }, value })
          }
  }

  addFailureSamples(samples: Sample[]): void {
    let index = 0
    for (const side of SIDES)
      for (const failure of FAILURE_NAMES) {
        const value = this.#failures[index++]!
        if (value > 0) samples.push({ labels: { context: this.context, side, failure }, value })
      }
  }

  addFallbackSamples(samples: Sample[]): void {
    for (const [index, failure] of FAILURE_NAMES.entries()) {
      const value = this.#fallbacks[index]!
      if (value > 0) samples.push({ labels: { context: this.context, failure }, value })
    }
  }

  addRetrySamples(samples: Sample[]): void {
    for (const [index, side] of SIDES.entries()) {
      const value = this.retries[index]!
      if (value > 0) samples.push({ labels: { context: this.context, side }, value })
    }
  }

  addTimeSamples(part: TimePart, name: string, samples: Sample[]): void {
    for (const [index, side] of SIDES.entries())
      this[part][index]!.addSamples(name, { context: this.context, side }, samples)
  }
}

function requestIndex(side: number, reason: number, method: number, statusClass: number): number {
  return ((side * REASON_NAMES.length + reason) * METHODS.length + method) * STATUS_CLASSES.length + statusClass
}

function indexByName(names: readonly string[]): ReadonlyMap<string, number> {
  return new Map(names.map((name, index) => [name, index]))
}
