// Sends a copy to a side and reads its response. Each copy ends within its limits, whatever the other side does.
import { buildConnector, type Dispatcher, errors, Pool } from 'undici'
import { LruMap } from '../../lib/lru-map.ts'
import type { ShadowFailure, Shed } from '../../model/comparison.ts'
import type { CopyRequest } from '../../model/shadow.ts'
import type { ByteBudget } from '../capture/byte-budget.ts'
import type { ComparedResponse } from '../compare/compare-answers.ts'
import { firstField } from '../compare/first-field.ts'
import { familyOf } from '../compare/media-type.ts'
import { responseHasBody } from '../compare/response-has-body.ts'

export type CopyResult =
  | {
      readonly kind: 'answered'
      readonly answer: ComparedResponse
      /** From sending the request to the last byte that was read, in milliseconds. */
      readonly ms: number
    }
  | { readonly kind: 'failed'; readonly reason: ShadowFailure }
  | { readonly kind: 'shed'; readonly reason: Shed }

type CopyLimits = {
  /** Of the response's body; the rest of a longer body is not read. */
  readonly maxBodyBytes: number
  /** From sending the request to the last byte of its response. */
  readonly timeoutMs: number
}

type CopyClientOptions = {
  /** For the bodies of responses. The caller releases the bytes of each body when it has been compared. */
  readonly budget: ByteBudget
  /** How long an address rests that refuses one connection after another; 0 for no rest. */
  readonly restMs?: number
}

/** Connections to one address. A copy that waits for one of them waits within its own timeout. */
const CONNECTIONS = 16
const CONNECT_TIMEOUT_MS = 5000
/** Refused connections in a row after which an address rests: a failed attempt costs more than a response. */
const MAX_REFUSALS = 5
const REST_MS = 1000
/** Addresses change with the config; the oldest pool is closed first. */
const MAX_POOLS = 64

export class CopyClient {
  readonly #budget: ByteBudget
  readonly #restMs: number
  readonly #pools = new Map<string, Pool>()
  readonly #refusals = new LruMap<string, { inRow: number; restsUntil: number }>(MAX_POOLS)

  constructor({ budget, restMs = REST_MS }: CopyClientOptions) {
    this.#budget = budget
    this.#restMs = restMs
  }

  /**
   * Never rejects.
   *
   * @param fields replace those of `request`
   * @param body sent unchanged, with its length
   * @param agreement the copy is not sent after it is aborted
   */
  async send(
    request: CopyRequest,
    fields: readonly string[],
    body: Uint8Array | undefined,
    { maxBodyBytes, timeoutMs }: CopyLimits,
    agreement?: AbortSignal,
  ): Promise<CopyResult> {
    const startedAt = performance.now()
    if (this.#isResting(request.origin, startedAt)) return { kind: 'failed', reason: 'unavailable' }
    const timeout = AbortSignal.timeout(Math.max(1, timeoutMs))
    const signal = agreement === undefined ? timeout : AbortSignal.any([timeout, agreement])
    let hasHead = false
    try {
      const response = await this.#poolOf(request).request({
        method: request.method as Dispatcher.HttpMethod,
        path: request.path,
        headers: fields as string[],
        body: body ?? null,
        signal,
        responseHeaders: 'raw',
      })
      hasHead = true
      this.#refusals.delete(request.origin)
      const { statusCode: status, body: stream } = response
      const headers = toTexts(response.headers as unknown as readonly (string | Buffer)[])
      const bytes = await this.#readBody(request.method, status, headers, stream, maxBodyBytes)
      if (bytes === 'no-budget') return { kind: 'shed', reason: 'bytes' }
      const isTruncated = bytes === 'truncated'
      const answer = { status, headers, body: isTruncated ? Buffer.alloc(0) : bytes, isTruncated }
      return { kind: 'answered', answer, ms: performance.now() - startedAt }
    } catch (error) {
      if (agreement?.aborted) return { kind: 'failed', reason: 'not-dry-run' }
      const reason = timeout.aborted ? 'response-timeout' : reasonOf(error, hasHead)
      if (reason === 'connect-refused' || reason === 'connect-timeout') this.#countRefusal(request.origin)
      return { kind: 'failed', reason }
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()))
  }

  /** A body that is returned stays reserved in the budget. */
  async #readBody(
    method: string,
    status: number,
    headers: readonly string[],
    stream: Dispatcher.ResponseData['body'],
    maxBodyBytes: number,
  ): Promise<Buffer | 'truncated' | 'no-budget'> {
    const isStream = familyOf(firstField(headers, 'content-type')) === 'stream'
    const isLong = Number(firstField(headers, 'content-length')) > maxBodyBytes && responseHasBody(method, status)
    if (isStream || isLong) {
      stream.on('error', () => {}).destroy()
      return 'truncated'
    }
    const chunks: Buffer[] = []
    let length = 0
    let isComplete = false
    try {
      // Leaving the loop early destroys the stream and its connection.
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        if (length + chunk.length > maxBodyBytes) return 'truncated'
        if (!this.#budget.reserve(chunk.length)) return 'no-budget'
        length += chunk.length
        chunks.push(chunk)
      }
      isComplete = true
      return Buffer.concat(chunks)
    } finally {
      if (!isComplete) this.#budget.release(length)
    }
  }

  #isResting(origin: string, now: number): boolean {
    const refusals = this.#refusals.get(origin)
    return refusals !== undefined && refusals.restsUntil > now
  }

  #countRefusal(origin: string): void {
    const refusals = this.#refusals.get(origin) ?? { inRow: 0, restsUntil: 0 }
    this.#refusals.set(origin, refusals)
    // After the rest, one more refusal begins the next one.
    if (++refusals.inRow >= MAX_REFUSALS) refusals.restsUntil = performance.now() + this.#restMs
  }

  #poolOf({ origin, tls, servername }: CopyRequest): Pool {
    const key = tls === undefined && servername === '' ? origin : JSON.stringify([origin, tls, servername])
    const existing = this.#pools.get(key)
    if (existing !== undefined) return existing
    if (this.#pools.size >= MAX_POOLS) {
      const [oldest, pool] = this.#pools.entries().next().value as [string, Pool]
      this.#pools.delete(oldest)
      void pool.close()
    }
    const pool = createPool(origin, tls, servername)
    this.#pools.set(key, pool)
    return pool
  }
}

function createPool(origin: string, tls: CopyRequest['tls'], servername: string): Pool {
  const connect = buildConnector({ timeout: CONNECT_TIMEOUT_MS, rejectUnauthorized: true, ...tls })
  return new Pool(origin, {
    connections: CONNECTIONS,
    allowH2: false,
    // The copy has its own timeout.
    headersTimeout: 0,
    bodyTimeout: 0,
    // By default undici requests the certificate of the Host field, which a client chooses.
    connect: (options, done) => connect({ ...options, servername }, done),
  })
}

function toTexts(raw: readonly (string | Buffer)[]): string[] {
  return raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
}

const REFUSED: ReadonlySet<unknown> = new Set([
  ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL'],
])

function reasonOf(error: unknown, hasHead: boolean): ShadowFailure {
  if (error instanceof errors.ConnectTimeoutError) return 'connect-timeout'
  const code = (error as { code?: unknown } | null)?.code
  if (REFUSED.has(code) || isCertificateError(code)) return 'connect-refused'
  const isMalformed = error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError
  if (isMalformed || error instanceof errors.ResponseContentLengthMismatchError) return 'response-malformed'
  if (hasHead) return 'response-broken'
  // undici did not send the request, because of an invalid field or path.
  if (error instanceof errors.InvalidArgumentError || error instanceof errors.NotSupportedError) return 'internal'
  return 'connection-lost'
}

/** A rejected certificate counts as a refused connection: nothing was sent. */
function isCertificateError(code: unknown): boolean {
  return typeof code === 'string' && /^(?:ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code)
}
