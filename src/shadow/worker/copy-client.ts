// Sends a copy to a side and reads its answer, within every limit there is: whatever the other side does, this ends.
import { buildConnector, type Dispatcher, errors, Pool } from 'undici'
import type { ShadowFailure, Shed } from '../../model/comparison.ts'
import type { CopyRequest } from '../../model/shadow.ts'
import type { Budget } from '../capture/byte-budget.ts'
import type { ComparedResponse } from '../compare/compare-answers.ts'
import { firstField } from '../compare/first-field.ts'
import { hasBody } from '../compare/response-has-body.ts'
import { familyOf } from '../compare/media-type.ts'

export type CopyResult =
  | {
      readonly kind: 'answered'
      readonly answer: ComparedResponse
      /** From the request being sent to the last byte that was read, in milliseconds. */
      readonly ms: number
    }
  | { readonly kind: 'failed'; readonly reason: ShadowFailure }
  | { readonly kind: 'shed'; readonly reason: Shed }

export type AskLimits = {
  /** Of the answer's body; the rest of a longer one is not read. */
  readonly maxBodyBytes: number
  /** From the request being sent to the last byte of its answer. */
  readonly timeoutMs: number
}

export type CopyClient = {
  /**
   * Never rejects.
   *
   * @param fields in the place of the request's own
   * @param body as it is, with a length of its own
   * @param agreement without which it must not be sent
   */
  readonly ask: (
    request: CopyRequest,
    fields: readonly string[],
    body: Uint8Array | undefined,
    limits: AskLimits,
    agreement?: AbortSignal,
  ) => Promise<CopyResult>
  readonly close: () => Promise<void>
}

/** Connections to one address: a copy waits for one of them within its own time. */
const CONNECTIONS = 16
const CONNECT_TIMEOUT_MS = 5000
/** An address that refused so many connections in a row is left alone for a while: trying costs more than an answer. */
const MOST_REFUSED = 5
const REST_MS = 1000
/** Beyond that the oldest goes: addresses come and go with the config. */
const MOST_POOLS = 64

/**
 * @param budget for the bodies of answers; each is given back when it was compared, by whoever asked
 * @param restMs how long an address is left alone that refuses one connection after another; 0 asks it all the same
 */
export function createCopyClient(budget: Budget, restMs = REST_MS): CopyClient {
  const pools = new Map<string, Pool>()
  const refusals = new Map<string, { inRow: number; restUntil: number }>()

  return { ask, close: async () => void (await Promise.all([...pools.values()].map((pool) => pool.destroy()))) }

  async function ask(
    request: CopyRequest,
    fields: readonly string[],
    body: Uint8Array | undefined,
    { maxBodyBytes, timeoutMs }: AskLimits,
    agreement?: AbortSignal,
  ): Promise<CopyResult> {
    const startedAt = performance.now()
    if (isAtRest(request.origin, startedAt)) return { kind: 'failed', reason: 'unavailable' }
    const limit = AbortSignal.timeout(Math.max(1, timeoutMs))
    const signal = agreement === undefined ? limit : AbortSignal.any([limit, agreement])
    let hasHead = false
    let held = 0
    const answered = (status: number, headers: string[], chunks: Buffer[], isTruncated: boolean): CopyResult => {
      if (isTruncated) budget.give(held)
      const answer = { status, headers, body: Buffer.concat(chunks), isTruncated }
      return { kind: 'answered', answer, ms: performance.now() - startedAt }
    }
    try {
      const answer = await poolOf(request).request({
        method: request.method as Dispatcher.HttpMethod,
        path: request.path,
        headers: fields as string[],
        body: body ?? null,
        signal,
        responseHeaders: 'raw',
      })
      hasHead = true
      refusals.delete(request.origin)
      const headers = textOf(answer.headers as unknown as readonly (string | Buffer)[])
      const { statusCode: status, body: stream } = answer
      const isWanted = familyOf(firstField(headers, 'content-type')) !== 'stream'
      const isLong = Number(firstField(headers, 'content-length')) > maxBodyBytes && hasBody(request.method, status)
      if (!isWanted || isLong) {
        stream.on('error', () => {}).destroy()
        return answered(status, headers, [], true)
      }
      const chunks: Buffer[] = []
      // Left early, the stream is destroyed, and its connection with it.
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        if (held + chunk.length > maxBodyBytes) return answered(status, headers, [], true)
        if (!budget.take(chunk.length)) {
          budget.give(held)
          return { kind: 'shed', reason: 'bytes' }
        }
        held += chunk.length
        chunks.push(chunk)
      }
      return answered(status, headers, chunks, false)
    } catch (error) {
      budget.give(held)
      if (agreement?.aborted) return { kind: 'failed', reason: 'not-dry-run' }
      const reason = limit.aborted ? 'response-timeout' : reasonOf(error, hasHead)
      if (reason === 'connect-refused' || reason === 'connect-timeout') refused(request.origin)
      return { kind: 'failed', reason }
    }
  }

  function isAtRest(origin: string, now: number): boolean {
    const known = refusals.get(origin)
    return known !== undefined && known.restUntil > now
  }

  function refused(origin: string): void {
    const known = refusals.get(origin) ?? { inRow: 0, restUntil: 0 }
    if (refusals.size >= MOST_POOLS) refusals.clear()
    refusals.set(origin, known)
    // After the rest one more is enough.
    if (++known.inRow >= MOST_REFUSED) known.restUntil = performance.now() + restMs
  }

  function poolOf({ origin, tls, servername }: CopyRequest): Pool {
    const key = tls === undefined && servername === '' ? origin : JSON.stringify([origin, tls, servername])
    const known = pools.get(key)
    if (known !== undefined) return known
    if (pools.size >= MOST_POOLS) {
      const [oldest, pool] = pools.entries().next().value as [string, Pool]
      pools.delete(oldest)
      void pool.close()
    }
    const connect = buildConnector({ timeout: CONNECT_TIMEOUT_MS, rejectUnauthorized: true, ...tls })
    const pool = new Pool(origin, {
      connections: CONNECTIONS,
      allowH2: false,
      // The deadline is the copy's own.
      headersTimeout: 0,
      bodyTimeout: 0,
      // undici asks for the name in the Host field, which a client chooses.
      connect: (options, done) => connect({ ...options, servername }, done),
    })
    pools.set(key, pool)
    return pool
  }
}

function textOf(raw: readonly (string | Buffer)[]): string[] {
  return raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
}

const REFUSED: ReadonlySet<unknown> = new Set([
  ...['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL'],
])

function reasonOf(error: unknown, hasHead: boolean): ShadowFailure {
  if (error instanceof errors.ConnectTimeoutError) return 'connect-timeout'
  const code = (error as { code?: unknown } | null)?.code
  if (REFUSED.has(code) || isTlsTrouble(code)) return 'connect-refused'
  const isNoHttp = error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError
  if (isNoHttp || error instanceof errors.ResponseContentLengthMismatchError) return 'response-malformed'
  if (hasHead) return 'response-broken'
  // What undici would not send: a field or a path that it finds wrong.
  if (error instanceof errors.InvalidArgumentError || error instanceof errors.NotSupportedError) return 'internal'
  return 'connection-lost'
}

/** A certificate that is not accepted: there is no connection that anything could be sent on. */
function isTlsTrouble(code: unknown): boolean {
  return typeof code === 'string' && /^(?:ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code)
}
