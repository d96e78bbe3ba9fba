import { BodyTooLong, readUpTo } from '../../../lib/bounded-read.ts'
// Unleash's Admin API, asked once for each thing: answers are read up to a limit, and trouble is a sentence.

export type AdminApi = {
  /** The API by its address without credentials, to begin a sentence with. */
  readonly name: string
  /** @param path below `/admin` */
  readonly ask: (method: 'GET' | 'POST' | 'PATCH', path: string, body?: unknown) => Promise<Answer>
}

export type Answer = { readonly ok: true; readonly body: unknown } | Failed

export type Failed = {
  readonly ok: false
  /** Undefined if there was no answer, or none that could be read. */
  readonly status: number | undefined
  /** Whether the answer is of Unleash's own form, and no proxy's in front of it. */
  readonly isUnleash: boolean
  /** What Unleash itself says; empty if it says nothing. */
  readonly message: string
  /** What happened, to what, and what to do. */
  readonly why: string
}

const MAX_ANSWER_BYTES = 4 * 1024 * 1024
const MAX_MESSAGE = 300

export function adminApi({ url, token, timeoutMs }: { url: string; token: string; timeoutMs: number }): AdminApi {
  const base = `${url.replace(/\/+$/, '')}/admin`
  const name = `Unleash at ${withoutCredentials(url)}`
  const fail = (why: string) => failure(undefined, '', `${name} ${withoutToken(why)}`)

  return { name, ask }

  async function ask(method: string, path: string, body?: unknown): Promise<Answer> {
    let text: string
    let status: number
    try {
      const answer = await fetch(`${base}${path}`, {
        method,
        headers: { authorization: token, accept: 'application/json', 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        // The token is for this address alone.
        redirect: 'error',
        signal: AbortSignal.timeout(timeoutMs),
      })
      status = answer.status
      text = (await readUpTo(MAX_ANSWER_BYTES, answer.body)).toString('utf8')
    } catch (error) {
      return fail(whyNot(error, timeoutMs))
    }
    const json = parse(text)
    if (status < 200 || status > 299) return turnedAway(status, json)
    if (json === undefined && text !== '')
      return fail(`answered ${status} with what is no JSON: UNLEASH_URL must be the address of its API`)
    return { ok: true, body: json }
  }

  function turnedAway(status: number, json: unknown): Failed {
    const message = withoutToken(messageIn(json))
    const said = message === '' ? '' : `: ${message}`
    if (status === 401)
      return failure(status, message, `${name} does not know the admin token (401${said}): set UNLEASH_ADMIN_TOKEN`)
    if (status === 403)
      return failure(
        status,
        message,
        `${name} does not allow this to the admin token (403${said}): set UNLEASH_ADMIN_TOKEN to one that may`,
      )
    return failure(status, message, `${name} answered ${status}${said}`)
  }

  /** A proxy's page of errors may show what it was sent. */
  function withoutToken(text: string): string {
    return text.replaceAll(token, '…')
  }
}

/** For logs and pages: a URL may carry a password, or a token in its query. */
export function withoutCredentials(url: string): string {
  const parsed = new URL(url)
  parsed.username = ''
  parsed.password = ''
  parsed.search = ''
  parsed.hash = ''
  return parsed.href
}

function failure(status: number | undefined, message: string, why: string): Failed {
  return { ok: false, status, isUnleash: message !== '', message, why }
}

function whyNot(error: unknown, timeoutMs: number): string {
  if (!(error instanceof Error)) return `cannot be asked: ${error}`
  if (error instanceof BodyTooLong) return `answered with ${error.message}`
  if (error.name === 'TimeoutError') return `did not answer within ${timeoutMs} ms`
  if (!(error instanceof TypeError)) return error.message
  const { cause } = error
  return `cannot be reached: ${cause instanceof Error ? cause.message || codeOf(cause) : error.message}`
}

/** Several addresses that were all refused have no message, but a code. */
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
  return typeof message === 'string' ? message.replace(/\s+/g, ' ').slice(0, MAX_MESSAGE) : ''
}
