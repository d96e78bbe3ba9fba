// The request body on its way to an upstream: counted, limited, and read only as fast as the upstream takes it.
import { Readable } from 'node:stream'
import type { Failure } from '../../model/failures.ts'
import type { Tap } from '../../model/shadow.ts'
import type { BodyReader, DownstreamExchange } from '../downstream/downstream-exchange.ts'
import { countSpent } from '../downstream/spent-buffers.ts'

/** The body ended before it was complete. */
export class RequestBodyError extends Error {
  readonly failure: Failure

  constructor(failure: Failure) {
    super(`request body: ${failure}`)
    this.failure = failure
  }
}

/**
 * A stream over the body of a downstream exchange. Destroying it, for example when the response comes early, does not harm
 * the connection: the rest of the body is discarded, so that the next request can be read.
 */
export class RequestBody extends Readable implements BodyReader {
  readonly #downstream: DownstreamExchange
  readonly #maxBytes: number
  readonly #owner: { readonly onRequestBodyEnd: () => void }
  readonly #tap: Tap | undefined
  #isAttached = false
  /** Bytes that have arrived from the client. */
  bytes = 0
  /** The client waits for `100 Continue` before it sends, and the upstream has not sent it yet. */
  isHeldBack = false

  /**
   * @param owner is called when all of the body has arrived
   * @param tap copies the bytes and never delays them
   */
  constructor(
    downstream: DownstreamExchange,
    maxBytes: number,
    owner: { readonly onRequestBodyEnd: () => void },
    tap?: Tap,
  ) {
    super({ highWaterMark: 64 * 1024 })
    this.#downstream = downstream
    this.#maxBytes = maxBytes
    this.#owner = owner
    this.#tap = tap
  }

  /** Whether bytes were read: such a body cannot be sent again. */
  get hasBegun(): boolean {
    return this.bytes > 0
  }

  /** Whether the upstream could take more, and the client does not send it. */
  get isWaitingForClient(): boolean {
    const mayClientSend = !this.isHeldBack || this.hasBegun
    return this.#isAttached && mayClientSend && !this.#downstream.isBodyComplete && !this.#downstream.isBodyPaused
  }

  override _read(): void {
    if (this.#isAttached) {
      this.#downstream.resumeBody()
      return
    }
    this.#isAttached = true
    this.#downstream.readBody(this)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#downstream.discardBody()
    done(error)
  }

  onBodyBytes(bytes: Buffer): void {
    this.bytes += bytes.length
    countSpent(bytes.length)
    this.#tap?.onRequestBody(bytes)
    if (this.bytes > this.#maxBytes) this.destroy(new RequestBodyError('body-too-large'))
    else if (!this.push(bytes)) this.#downstream.pauseBody()
  }

  onBodyEnd(): void {
    this.#tap?.onRequestEnd()
    this.#owner.onRequestBodyEnd()
    this.push(null)
  }

  onBodyClose(): void {
    if (!this.#downstream.isBodyComplete) this.destroy(new RequestBodyError('client-gone'))
  }
}
