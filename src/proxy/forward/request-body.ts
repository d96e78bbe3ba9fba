// The client's request body on its way to an upstream: counted, limited, and pulled only as fast as it is taken.
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { Failure } from '../../model/failures.ts'
import type { Tap } from '../../model/shadow.ts'
import { spent } from '../downstream/spent-buffers.ts'

/** Why a body ended early, in our words. */
export class RequestBodyError extends Error {
  readonly failure: Failure

  constructor(failure: Failure) {
    super(`request body: ${failure}`)
    this.failure = failure
  }
}

/**
 * A stream over `IncomingMessage` that can be given up without harm to the connection: whoever destroys it (as when a
 * response comes early) stops reading, and the rest of the body is drained so that the next request is found.
 */
export class RequestBody extends Readable {
  readonly #request: IncomingMessage
  readonly #maxBytes: number
  readonly #owner: { readonly onRequestBodyEnd: () => void }
  readonly #tap: Tap | undefined
  #isAttached = false
  /** Bytes taken from the client. */
  bytes = 0
  /** The client expects a word before it sends, and the upstream has not given it yet. */
  isHeldBack = false

  /**
   * @param owner is called when all of the body has arrived
   * @param tap sees what is taken; it is never waited for
   */
  constructor(request: IncomingMessage, maxBytes: number, owner: { readonly onRequestBodyEnd: () => void }, tap?: Tap) {
    super({ highWaterMark: 64 * 1024 })
    this.#request = request
    this.#maxBytes = maxBytes
    this.#owner = owner
    this.#tap = tap
  }

  /** Whether anything was taken: a body that was begun cannot be sent again. */
  get hasBegun(): boolean {
    return this.bytes > 0
  }

  /** Whether it is the client that is being waited for, and not the upstream. */
  get isWaitingForClient(): boolean {
    const isItsTurn = !this.isHeldBack || this.hasBegun
    return this.#isAttached && isItsTurn && !this.#request.complete && !this.#request.isPaused()
  }

  override _read(): void {
    if (this.#isAttached) {
      this.#request.resume()
      return
    }
    this.#isAttached = true
    this.#request.on('data', this.#onData).on('end', this.#onEnd).on('close', this.#onClose).on('error', noop)
  }

  #onData = (chunk: Buffer): void => {
    this.bytes += chunk.length
    spent(chunk.length)
    this.#tap?.onRequestBody(chunk)
    if (this.bytes > this.#maxBytes) this.destroy(new RequestBodyError('body-too-large'))
    else if (!this.push(chunk)) this.#request.pause()
  }

  #onEnd = (): void => {
    this.#tap?.onRequestEnd()
    this.#owner.onRequestBodyEnd()
    this.push(null)
  }

  #onClose = (): void => {
    if (!this.#request.complete) this.destroy(new RequestBodyError('client-gone'))
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const request = this.#request
    if (this.#isAttached) request.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose)
    if (!request.complete && !request.destroyed) request.resume()
    done(error)
  }
}

function noop(): void {
  // The 'close' that follows tells the same; without a listener the error would be thrown.
}
