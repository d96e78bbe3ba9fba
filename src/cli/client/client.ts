// The client of the admin API. A successful response is a value; every failure is a CliError.
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { API } from '../../admin/contract/api-paths.ts'
import { problem } from '../../admin/contract/problems.ts'
import { BodyTooLong, readUpTo } from '../../lib/bounded-read.ts'
import { EXIT } from '../exit-codes.ts'
import { CliError } from './cli-error.ts'
import { connectionError, isConnectionLost, notGatewayError } from './connection-error.ts'
import { problemError } from './problem-error.ts'
import type { GatewayAddress } from './resolve-gateway.ts'

/** A change as an HTTP request. */
export type HttpChangeRequest = {
  readonly method: 'PUT' | 'POST' | 'DELETE'
  readonly path: string
  /** Undefined with DELETE. */
  readonly body: Readonly<Record<string, unknown>> | undefined
  /** Refuse the change unless this is the generation of the last change. */
  readonly ifGeneration: number | undefined
}

/** A response as the schema parses it, and the unchanged JSON for `--json`, which may come from a later version. */
type ApiResponse<T> = { readonly body: T; readonly raw: unknown }

/** The part of a zod schema that this client needs. */
type Schema<T> = {
  readonly safeParse: (value: unknown) => { readonly success: true; readonly data: T } | { readonly success: false }
}

type Headers = Readonly<Record<string, string>>
type HttpRequest = {
  readonly method: string
  readonly path: string
  readonly headers?: Headers
  readonly body?: string | undefined
  readonly timeoutMs: number
  readonly isChange?: boolean
}

/** The gateway answers a change after at most 5 s of waiting for the fleet; Unleash may take 10 s. */
const CHANGE_TIMEOUT_MS = 45_000
const READ_TIMEOUT_MS = 15_000
const RETRY_MS = 250
const JSON_BODY = { 'content-type': 'application/json' } as const
const MAX_ANSWER_BYTES = 32 * 1024 * 1024

export class Client {
  readonly gateway: GatewayAddress
  readonly #readTimeoutMs: number

  constructor(gateway: GatewayAddress, { readTimeoutMs = READ_TIMEOUT_MS } = {}) {
    this.gateway = gateway
    this.#readTimeoutMs = readTimeoutMs
  }

  /** @param path relative to that of the API */
  async get<T>(path: string, schema: Schema<T>): Promise<ApiResponse<T>> {
    return this.#parse(await this.#send({ method: 'GET', path, timeoutMs: this.#readTimeoutMs }), schema)
  }

  /** A POST that changes nothing: its input is too large for a query. */
  async query<T>(path: string, body: Readonly<Record<string, unknown>>, schema: Schema<T>): Promise<ApiResponse<T>> {
    const content = { headers: JSON_BODY, body: JSON.stringify(body), timeoutMs: this.#readTimeoutMs }
    return this.#parse(await this.#send({ method: 'POST', path, ...content }), schema)
  }

  async change<T>(request: HttpChangeRequest, schema: Schema<T>): Promise<ApiResponse<T>> {
    const { method, path, body, ifGeneration } = request
    const headers = {
      ...(body === undefined ? {} : JSON_BODY),
      // The retry after a lost connection has the same key, so that the gateway makes the change once.
      'idempotency-key': randomUUID(),
      ...(ifGeneration === undefined ? {} : { 'if-match': `"${ifGeneration}"` }),
    }
    const content = { headers, body: body && JSON.stringify(body), timeoutMs: CHANGE_TIMEOUT_MS, isChange: true }
    return this.#parse(await this.#send({ method, path, ...content }), schema)
  }

  /** The response as it arrives, for streams. */
  async open(path: string, headers: Headers, signal: AbortSignal): Promise<Response> {
    const response = await this.#fetch({ method: 'GET', path, headers }, signal)
    if (!response.ok) {
      throw problemError(response, await readJson(response), { path, isChange: false, gateway: this.gateway })
    }
    return response
  }

  /** Retries once after a lost connection. */
  async #send(request: HttpRequest): Promise<unknown> {
    const { path, timeoutMs, isChange = false } = request
    const signal = AbortSignal.timeout(timeoutMs)
    let [losses, mayHaveChanged] = [0, false]
    for (;;) {
      try {
        const response = await this.#fetch(request, signal)
        const answer = await readJson(response)
        if (response.ok) return answer
        if (!isInProgress(answer)) throw problemError(response, answer, { path, isChange, gateway: this.gateway })
        // The gateway still works on the request that was sent on the lost connection.
        await wait(RETRY_MS, undefined, { signal })
      } catch (error) {
        if (error instanceof CliError) throw error
        const isLost = isConnectionLost(error)
        if (isLost) losses++
        mayHaveChanged ||= isChange && (isLost || signal.aborted)
        if (!isLost || losses > 1) {
          throw connectionError(signal.aborted ? signal.reason : error, this.gateway, mayHaveChanged)
        }
      }
    }
  }

  #fetch({ method, path, headers = {}, body }: Omit<HttpRequest, 'timeoutMs'>, signal: AbortSignal): Promise<Response> {
    const { url, token } = this.gateway
    return fetch(`${url}${API}${path}`, {
      method,
      headers: {
        accept: 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body }),
      // A redirect could send the token to another address. The mode 'error' would also fail with a response of 421.
      redirect: 'manual',
      signal,
    })
  }

  #parse<T>(raw: unknown, schema: Schema<T>): ApiResponse<T> {
    const result = schema.safeParse(raw)
    if (!result.success) throw notGatewayError(this.gateway, 'the response is not from a compatible gateway')
    return { body: result.data, raw }
  }
}

function isInProgress(answer: unknown): boolean {
  const parsed = problem.safeParse(answer)
  return parsed.success && parsed.data.code === 'in-progress'
}

/** @returns undefined if the body is not JSON */
async function readJson({ body }: Response): Promise<unknown> {
  const bytes = await readUpTo(MAX_ANSWER_BYTES, body).catch((error: unknown) => {
    if (error instanceof BodyTooLong) throw new CliError(EXIT.failed, `the response has ${error.message}`)
    throw error
  })
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}
