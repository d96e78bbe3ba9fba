// Captures one request and its response while they pass, up to the limits of its policy. It never waits and never throws.
import type { Shed } from '../../model/comparison.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { HeaderList, RequestHead } from '../../model/request-head.ts'
import type { Side } from '../../model/route.ts'
import type { CreateCopy, Tap } from '../../model/shadow.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import { firstField } from '../compare/first-field.ts'
import { familyOf } from '../compare/media-type.ts'
import { responseHasBody } from '../compare/response-has-body.ts'
import type { ByteBudget } from './byte-budget.ts'
import { isSafe } from './eligibility.ts'

export type CapturedRequest = {
  readonly context: string
  /** The route's label: its method and template. */
  readonly route: string
  readonly policy: ShadowPolicy
  readonly head: RequestHead
  readonly answeredBy: Side
}

/** Called once, when the client has been answered or has left. */
export type CaptureListener = (capture: Capture, outcome: Outcome, copyFor: CreateCopy) => void

/** The memory of each piece of a text beside its bytes: a peer that sends single bytes would need fifty times their size. */
const PIECE_BYTES = 64

export class Capture implements Tap {
  readonly request: CapturedRequest
  readonly #budget: ByteBudget
  readonly #onClose: CaptureListener
  status = 0
  headers: HeaderList = []
  /** One character per byte (latin1). */
  body = ''
  /** One character per byte; undefined for a safe method. */
  requestBody: string | undefined
  isTruncated = false
  isStream = false
  /** Why the capture keeps nothing any more. */
  shedReason: Shed | undefined = undefined
  /** Bytes reserved in the budget. */
  heldBytes = 0
  /** The part of them that belongs to the body of the response. */
  #bodyHeldBytes = 0
  /** Upstreams may answer before the request has ended. Then the rest is unknown, and its copy would be another request. */
  isRequestComplete: boolean
  #requestBytes = 0

  constructor(request: CapturedRequest, budget: ByteBudget, onClose: CaptureListener) {
    this.request = request
    this.#budget = budget
    this.#onClose = onClose
    this.requestBody = isSafe(request.head.method) ? undefined : ''
    const { body } = request.head
    this.isRequestComplete = body.kind === 'none' || (body.kind === 'length' && body.bytes === 0)
    if (body.kind === 'length' && body.bytes > request.policy.maxBodyBytes) this.#shed('request-too-large')
  }

  onRequestBody(bytes: Buffer): void {
    const { body } = this.request.head
    this.#requestBytes += bytes.length
    if (body.kind === 'length' && this.#requestBytes === body.bytes) this.isRequestComplete = true
    if (this.requestBody === undefined || this.shedReason !== undefined) return
    if (this.requestBody.length + bytes.length > this.request.policy.maxBodyBytes) this.#shed('request-too-large')
    else if (this.#reserve(bytes.length)) this.requestBody += bytes.toString('latin1')
  }

  onRequestEnd(): void {
    this.isRequestComplete = true
  }

  onHead(status: number, fields: HeaderList): void {
    this.status = status
    this.headers = fields
    this.isStream = familyOf(firstField(fields, 'content-type')) === 'stream'
    const isLong = Number(firstField(fields, 'content-length')) > this.request.policy.maxBodyBytes
    this.isTruncated = isLong && responseHasBody(this.request.head.method, status)
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (this.shedReason !== undefined || this.isTruncated || this.isStream) return
    const length = end - start
    if (this.body.length + length > this.request.policy.maxBodyBytes) {
      this.isTruncated = true
      this.#release(this.#bodyHeldBytes)
      this.#bodyHeldBytes = 0
      this.body = ''
    } else if (this.#reserve(length)) {
      this.#bodyHeldBytes += length + PIECE_BYTES
      this.body += bytes.toString('latin1', start, end)
    }
  }

  close(outcome: Outcome, copyFor: CreateCopy): void {
    this.#onClose(this, outcome, copyFor)
  }

  /** Drops the bodies and returns their bytes to the budget. A second call changes nothing. */
  release(): void {
    this.#release(this.heldBytes)
    this.body = ''
    this.requestBody = undefined
  }

  #reserve(length: number): boolean {
    const bytes = length + PIECE_BYTES
    if (!this.#budget.reserve(bytes)) {
      this.#shed('bytes')
      return false
    }
    this.heldBytes += bytes
    return true
  }

  #release(bytes: number): void {
    this.#budget.release(bytes)
    this.heldBytes -= bytes
  }

  #shed(reason: Shed): void {
    this.shedReason = reason
    this.release()
  }
}
