// Asks the admin API of a gateway. An answer is a value; everything else is Trouble with a sentence.
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { API } from '../../admin/contract/api-paths.ts'
import { problem } from '../../admin/contract/problems.ts'
import { EXIT } from '../exit-codes.ts'
import { Trouble } from './cli-error.ts'
import { notAGateway, unreachable, wasLost } from './connection-error.ts'
import { turnedAway } from './problem-error.ts'
import type { Whom } from './resolve-gateway.ts'

export type Client = {
  readonly whom: Whom
  /** @param path below the API's */
  readonly get: <T>(path: string, schema: Schema<T>) => Promise<Answer<T>>
  /** A question that needs a body, and changes nothing. */
  readonly ask: <T>(path: string, body: Readonly<Record<string, unknown>>, schema: Schema<T>) => Promise<Answer<T>>
  readonly change: <T>(change: Change, schema: Schema<T>) => Promise<Answer<T>>
  /** The answer as it comes, for streams: the limit is for its beginning. */
  readonly open: (path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal) => Promise<Response>
}

export type Change = {
  readonly method: 'PUT' | 'POST' | 'DELETE'
  readonly path: string
  /** Undefined where the method has none. */
  readonly body: Readonly<Record<string, unknown>> | undefined
  /** Refuse it unless the last change was this generation. */
  readonly ifGeneration: number | undefined
}

/** What was answered: as we understand it, and as it was said, which is what `--json` shows. */
export type Answer<T> = { readonly body: T; readonly said: unknown }

/** What this client needs of a zod schema. */
export type Schema<T> = {
  readonly safeParse: (value: unknown) => { readonly success: true; readonly data: T } | { readonly success: false }
}

/** A gateway answers a change when it has happened everywhere, or says after five seconds where it has not; Unleash may take ten. */
const CHANGE_TIMEOUT_MS = 45_000
const READ_TIMEOUT_MS = 15_000
const UNDER_WAY_MS = 250
const JSON_BODY = { 'content-type': 'application/json' } as const
const MAX_ANSWER_BYTES = 32 * 1024 * 1024

export function createClient(whom: Whom, { readTimeoutMs = READ_TIMEOUT_MS } = {}): Client {
  return { whom, get, ask, change, open }

  async function get<T>(path: string, schema: Schema<T>): Promise<Answer<T>> {
    return understood(await exchange('GET', path, { timeoutMs: readTimeoutMs }), schema)
  }

  async function ask<T>(path: string, body: Readonly<Record<string, unknown>>, schema: Schema<T>): Promise<Answer<T>> {
    const asked = { headers: JSON_BODY, body: JSON.stringify(body), timeoutMs: readTimeoutMs }
    return understood(await exchange('POST', path, asked), schema)
  }

  async function change<T>({ method, path, body, ifGeneration }: Change, schema: Schema<T>): Promise<Answer<T>> {
    const headers = {
      ...(body === undefined ? {} : JSON_BODY),
      // One wish has one key, so that asking again after a lost connection cannot do it twice.
      'idempotency-key': randomUUID(),
      ...(ifGeneration === undefined ? {} : { 'if-match': `"${ifGeneration}"` }),
    }
    const asked = { headers, body: body && JSON.stringify(body), timeoutMs: CHANGE_TIMEOUT_MS, isChange: true }
    return understood(await exchange(method, path, asked), schema)
  }

  async function open(path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response> {
    const response = await send('GET', path, headers, undefined, signal)
    if (!response.ok) throw turnedAway(response, await parsed(response), { path, isChange: false, whom })
    return response
  }

  type Headers = Readonly<Record<string, string>>

  type Exchange = { headers?: Headers; body?: string | undefined; timeoutMs: number; isChange?: boolean }

  /** Once more if the connection was lost, and then no more. */
  async function exchange(method: string, path: string, asked: Exchange): Promise<unknown> {
    const { headers = {}, body, timeoutMs, isChange = false } = asked
    const signal = AbortSignal.timeout(timeoutMs)
    let [losses, mayHaveChanged] = [0, false]
    for (;;) {
      try {
        const response = await send(method, path, headers, body, signal)
        const answer = await parsed(response)
        if (response.ok) return answer
        if (!isUnderWay(answer)) throw turnedAway(response, answer, { path, isChange, whom })
        // What was asked on the connection that was lost is still being done.
        await wait(UNDER_WAY_MS, undefined, { signal })
      } catch (error) {
        if (error instanceof Trouble) throw error
        const lost = wasLost(error)
        if (lost) losses++
        mayHaveChanged ||= isChange && (lost || signal.aborted)
        if (!lost || losses > 1) throw unreachable(signal.aborted ? signal.reason : error, whom, mayHaveChanged)
      }
    }
  }

  function send(method: string, path: string, headers: Headers, body: string | undefined, signal: AbortSignal) {
    return fetch(`${whom.url}${API}${path}`, {
      method,
      headers: {
        accept: 'application/json',
        ...(whom.token === undefined ? {} : { authorization: `Bearer ${whom.token}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body }),
      // The token is for this address alone. ('error' would fail at an answer of 421 as well.)
      redirect: 'manual',
      signal,
    })
  }

  function understood<T>(said: unknown, schema: Schema<T>): Answer<T> {
    const result = schema.safeParse(said)
    if (!result.success) throw notAGateway(whom, 'what it says is none of a gateway, or of another version')
    return { body: result.data, said }
  }
}

function isUnderWay(answer: unknown): boolean {
  const read = problem.safeParse(answer)
  return read.success && read.data.code === 'in-progress'
}

/** The body as JSON; undefined if it is none. */
async function parsed(response: Response): Promise<unknown> {
  const text = await readUpTo(MAX_ANSWER_BYTES, response)
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function readUpTo(limit: number, { body }: Response): Promise<string> {
  if (body === null) return ''
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.byteLength
    if (length > limit) throw new Trouble(EXIT.failed, `the answer is larger than ${limit} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
