// Sees one request and its answer go by, and keeps of them what may be kept. It never waits, and never throws.
import type { Shed } from '../../model/comparison.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { HeaderList, RequestHead } from '../../model/request-head.ts'
import type { Side } from '../../model/route.ts'
import type { CreateCopy, Tap } from '../../model/shadow.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import { firstField } from '../compare/first-field.ts'
import { hasBody } from '../compare/response-has-body.ts'
import { familyOf } from '../compare/media-type.ts'
import type { Budget } from './byte-budget.ts'
import { isSafe } from './eligibility.ts'

export type Captured = {
  readonly context: string
  readonly route: string
  readonly policy: ShadowPolicy
  readonly head: RequestHead
  readonly answeredBy: Side
}

/** What a piece of a text costs beside its bytes: whoever sends a byte at a time would make a mebibyte fifty of them. */
const PIECE_BYTES = 64

export class Capture implements Tap {
  readonly its: Captured
  readonly #budget: Budget
  readonly #done: (capture: Capture, outcome: Outcome, copyFor: CreateCopy) => void
  status = 0
  headers: HeaderList = []
  /** One character a byte. */
  body = ''
  requestBody: string | undefined
  isTruncated = false
  isStream = false
  /** Why nothing further is kept. */
  shed: Shed | undefined = undefined
  /** Bytes taken from the budget. */
  held = 0
  /** Of them for the answer's body. */
  #bodyHeld = 0
  /** Of a request that was answered before its end the rest is not known: part of it is another request. */
  isRequestWhole: boolean
  #requestBytes = 0

  constructor(its: Captured, budget: Budget, done: (capture: Capture, outcome: Outcome, copyFor: CreateCopy) => void) {
    this.its = its
    this.#budget = budget
    this.#done = done
    this.requestBody = isSafe(its.head.method) ? undefined : ''
    const { body } = its.head
    this.isRequestWhole = body.kind === 'none' || (body.kind === 'length' && body.bytes === 0)
    // Known before it begins: none of it need be kept.
    if (body.kind === 'length' && body.bytes > its.policy.maxBodyBytes) this.#shed('request-too-large')
  }

  onRequestBody(bytes: Buffer): void {
    const { body } = this.its.head
    this.#requestBytes += bytes.length
    if (body.kind === 'length' && this.#requestBytes === body.bytes) this.isRequestWhole = true
    if (this.requestBody === undefined || this.shed !== undefined) return
    if (this.requestBody.length + bytes.length > this.its.policy.maxBodyBytes) this.#shed('request-too-large')
    else if (this.#take(bytes.length)) this.requestBody += bytes.toString('latin1')
  }

  onRequestEnd(): void {
    this.isRequestWhole = true
  }

  onHead(status: number, fields: HeaderList): void {
    this.status = status
    this.headers = fields
    this.isStream = familyOf(firstField(fields, 'content-type')) === 'stream'
    const isLong = Number(firstField(fields, 'content-length')) > this.its.policy.maxBodyBytes
    this.isTruncated = isLong && hasBody(this.its.head.method, status)
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.shed !== undefined || this.isTruncated || this.isStream) return
    const length = end - start
    if (this.body.length + length > this.its.policy.maxBodyBytes) {
      this.isTruncated = true
      this.#give(this.#bodyHeld)
      this.#bodyHeld = 0
      this.body = ''
    } else if (this.#take(length)) {
      this.#bodyHeld += length + PIECE_BYTES
      this.body += bytes.toString('latin1', start, end)
    }
  }

  close(outcome: Outcome, copyFor: CreateCopy): void {
    this.#done(this, outcome, copyFor)
  }

  /** What it holds is needed no more. */
  free(): void {
    this.#give(this.held)
    this.body = ''
    this.requestBody = undefined
  }

  #take(length: number): boolean {
    const bytes = length + PIECE_BYTES
    if (!this.#budget.take(bytes)) {
      this.#shed('bytes')
      return false
    }
    this.held += bytes
    return true
  }

  #give(bytes: number): void {
    this.#budget.give(bytes)
    this.held -= bytes
  }

  #shed(reason: Shed): void {
    this.shed = reason
    this.#give(this.held)
    this.body = ''
    this.requestBody = undefined
  }
}
