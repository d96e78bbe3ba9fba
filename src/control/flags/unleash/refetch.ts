// Flags fetched now rather than at the client's next poll. Whoever asks gives them to the client: while an answer is on
// its way, another client may have taken the place of the one there was.
import { type ApiResponse, parseApiResponse } from 'unleash-client/lib/feature.js'
import { get } from 'unleash-client/lib/request.js'
import { z } from 'zod'
import type { Feature } from '../evaluator.ts'
import { boundedAgent, UNCOMPRESSED } from './bounded-agent.ts'

export type RefetchOptions = {
  /** The API's base. */
  readonly url: string
  readonly token: string
  readonly appName: string
  readonly instanceId: string
  readonly refreshMs: number
  readonly timeoutMs: number
}

/** Unleash answered, but not with flags. */
export class NotServed extends Error {
  readonly status: number

  constructor(url: string, status: number) {
    super(`${url} responded ${status}`)
    this.status = status
  }
}

/** What of a fetch is used; the client's own types of it are not installed. */
type Answer = {
  readonly status: number
  readonly ok: boolean
  readonly headers: { readonly get: (name: string) => string | null }
  readonly json: () => Promise<unknown>
}

/** Unleash's list of flags, and what that list is called. */
export type FlagList = { readonly response: ApiResponse; readonly etag: string | undefined }

/**
 * The whole list, as a poll fetches it; `unchanged` if it is still the one called `etag`.
 *
 * @throws NotServed, and whatever the network or the parser throws
 */
export async function fetchList(options: RefetchOptions, etag: string | undefined): Promise<FlagList | 'unchanged'> {
  const answer = await fetchFrom('client/features', options, etag)
  if (answer.status === 304) return 'unchanged'
  return { response: parseApiResponse(await answer.json()), etag: answer.headers.get('etag') ?? undefined }
}

/**
 * One flag as it is this moment: Unleash makes its list anew once a second, and a flag that is asked for by its name at
 * once. One that it does not know is undefined, and left for the list to tell.
 *
 * @throws as `fetchList`
 */
export async function fetchFlag(flag: string, options: RefetchOptions): Promise<Feature | undefined> {
  let answer: Answer
  try {
    answer = await fetchFrom(`client/features/${encodeURIComponent(flag)}`, options)
  } catch (error) {
    if (error instanceof NotServed && error.status === 404) return undefined
    throw error
  }
  const feature = readFeature.parse(await answer.json())
  if (feature.name !== flag) throw new Error(`asked for flag "${flag}", Unleash answered with "${feature.name}"`)
  // Looked at in what the evaluation would stumble over; the rest is Unleash's own.
  return feature as unknown as Feature
}

const readFeature = z.looseObject({
  name: z.string(),
  enabled: z.boolean(),
  strategies: z.array(z.looseObject({ name: z.string() })),
})

async function fetchFrom(path: string, options: RefetchOptions, etag?: string): Promise<Answer> {
  const { url, token, appName, instanceId, refreshMs, timeoutMs } = options
  const address = new URL(path, url.endsWith('/') ? url : `${url}/`).href
  // The client's own request: through the same proxies, with the same headers, on the same connections.
  const answer: Answer = await get({
    url: address,
    ...(etag === undefined ? {} : { etag }),
    appName,
    instanceId,
    connectionId: instanceId,
    interval: refreshMs,
    timeout: timeoutMs,
    headers: { Authorization: token, ...UNCOMPRESSED },
    httpOptions: { agent: boundedAgent },
    supportedSpecVersion: SUPPORTED_SPEC,
  })
  if (!answer.ok && answer.status !== 304) throw new NotServed(address, answer.status)
  return answer
}

/** With less, Unleash sends a segment's constraints in the place of its number. */
const SUPPORTED_SPEC = '5.2.0'
