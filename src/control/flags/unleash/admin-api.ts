// A client of Unleash's Admin API. It reads responses up to a limit, and describes a failure in a sentence.
import { BodyTooLong, readUpTo } from '../../../lib/bounded-read.ts'

/** `body` is the parsed JSON; undefined for an empty body. */
type ApiResult = { readonly ok: true; readonly body: unknown } | ApiFailure

export type ApiFailure = {
  readonly ok: false
  /** Undefined without a response, or with one that cannot be read. */
  readonly status: number | undefined
  /** Whether the response has Unleash's own format. A proxy in front of it sends others. */
  readonly isUnleash: boolean
  /** The message of Unleash; empty without one. */
  readonly message: string
  /** A sentence with the failure, its object, and the action of the operator. */
  readonly why: string
}

type AdminApiOptions = {
  /** The base of the API, such as `https://unleash.example/api`. */
  readonly url: string
  readonly token: string
  /** The limit of one request. */
  readonly timeoutMs: number
}

const MAX_BODY_BYTES = 4 * 1024 * 1024
const MAX_MESSAGE_LENGTH = 300

export class AdminApi {
  /** The API by its address without credentials, at the beginning of messages. */
  readonly name: string
  readonly #base: string
  readonly #token: string
  readonly #timeoutMs: number

  constructor({ url, token, timeoutMs }: AdminApiOptions) {
    this.name = `Unleash at ${withoutCredentials(url)}`
    this.#base = `${url.replace(/\/+$/, '')}/admin`
    this.#token = token
    this.#timeoutMs = timeoutMs
  }

  /** Never rejects. @param path below `/admin` */
  async request(method: 'GET' | 'POST' | 'PATCH', path: string, body?: unknown): Promise<ApiResult> {
    let text: string
    let status: number
    try {
      const response = await fetch(`${this.#base}${path}`, {
        method,
        headers: { authorization: this.#token, accept: 'application/json', 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        // The token is for this address alone.
        redirect: 'error',
        signal: AbortSignal.timeout(this.#timeoutMs),
      })
      status = response.status
      text = (await readUpTo(MAX_BODY_BYTES, response.body)).toString('utf8')
    } catch (error) {
      return this.#failure(describeFetchError(error, this.#timeoutMs))
    }
    const json = parse(text)
    if (status < 200 || status > 299) return this.#rejection(status, json)
    if (json === undefined && text !== '')
      return this.#failure(`answered ${status}, but not with JSON: UNLEASH_URL must be the address of its API`)
    return { ok: true, body: json }
  }

  #failure(why: string): ApiFailure {
    return failure(undefined, '', `${this.name} ${this.#withoutToken(why)}`)
  }

  #rejection(status: number, json: unknown): ApiFailure {
    const message = this.#withoutToken(messageIn(json))
    return failure(status, message, `${this.name} ${describeStatus(status, message)}`)
  }

  /** The error page of a proxy may contain the request. */
  #withoutToken(text: string): string {
    return text.replaceAll(this.#token, '…')
  }
}

/** For logs and pages: a URL may contain a password, or a token in its query. */
export function withoutCredentials(url: string): string {
  const parsed = new URL(url)
  parsed.username = ''
  parsed.password = ''
  parsed.search = ''
  parsed.hash = ''
  return parsed.href
}

function failure(status: number | undefined, message: string, why: string): ApiFailure {
  return { ok: false, status, isUnleash: message !== '', message, why }
}

function describeStatus(status: number, message: string): string {
  const suffix = message === '' ? '' : `: ${message}`
  if (status === 401) return `does not know the admin token (401${suffix}): set UNLEASH_ADMIN_TOKEN`
  if (status === 403)
    return `does not allow this to the admin token (403${suffix}): set UNLEASH_ADMIN_TOKEN to one that may`
  return `answered ${status}${suffix}`
}

function describeFetchError(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return `cannot be asked: ${error}`
  if (error instanceof BodyTooLong) return `answered with ${error.message}`
  if (error.name === 'TimeoutError') return `did not answer within ${timeoutMs} ms`
  if (!(error instanceof TypeError)) return error.message
  const { cause } = error
  return `cannot be reached: ${cause instanceof Error ? cause.message || codeOf(cause) : error.message}`
}

/** An error about several addresses that refused has a code, but no message. */
function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : error.name
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function messageIn(json: unknown): string {
  const message = typeof json === 'object' && json !== null && 'message' in json ? json.message : undefined
  return typeof message === 'string' ? message.replace(/\s+/g, ' ').slice(0, MAX_MESSAGE_LENGTH) : ''
}
