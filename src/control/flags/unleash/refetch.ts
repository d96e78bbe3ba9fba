// Fetches flags at once, instead of at the next poll of unleash-client. The caller passes them to the client, which may have been
// replaced during the request.
import { type ApiResponse, parseApiResponse } from 'unleash-client/lib/feature.js'
import { get } from 'unleash-client/lib/request.js'
import { z } from 'zod'
import type { Feature } from '../flag-repository.ts'
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

/** The part of a fetch response that is used: the types of unleash-client's fetch library are not installed. */
type FetchResponse = {
  readonly status: number
  readonly ok: boolean
  readonly headers: { readonly get: (name: string) => string | null }
  readonly json: () => Promise<unknown>
}

/** Unleash's list of flags, and the etag of that list. */
type FlagList = { readonly response: ApiResponse; readonly etag: string | undefined }

/**
 * The whole list, as a poll fetches it; `unchanged` if it still has this etag.
 *
 * @throws {NotServed}, and the errors of the network and of the parser
 */
export async function fetchList(options: RefetchOptions, etag: string | undefined): Promise<FlagList | 'unchanged'> {
  const answer = await fetchFrom('client/features', options, etag)
  if (answer.status === 304) return 'unchanged'
  return { response: parseApiResponse(await answer.json()), etag: answer.headers.get('etag') ?? undefined }
}

/**
 * One flag as it is now. Unleash builds its list once a second, but reads a single flag at once. A flag that Unleash does not know
 * is undefined: the next list decides whether it exists.
 *
 * @throws as `fetchList`
 */
export async function fetchFlag(flag: string, options: RefetchOptions): Promise<Feature | undefined> {
  let answer: FetchResponse
  try {
    answer = await fetchFrom(`client/features/${encodeURIComponent(flag)}`, options)
  } catch (error) {
    if (error instanceof NotServed && error.status === 404) return undefined
    throw error
  }
  const feature = readFeature.parse(await answer.json())
  if (feature.name !== flag) throw new Error(`asked for flag "${flag}", Unleash answered with "${feature.name}"`)
  // The schema has validated every key whose absence would make the evaluation throw.
  return feature as unknown as Feature
}

const readFeature = z.looseObject({
  name: z.string(),
  enabled: z.boolean(),
  strategies: z.array(z.looseObject({ name: z.string() })),
})

async function fetchFrom(path: string, options: RefetchOptions, etag?: string): Promise<FetchResponse> {
  const { url, token, appName, instanceId, refreshMs, timeoutMs } = options
  const address = new URL(path, url.endsWith('/') ? url : `${url}/`).href
  // The request function of unleash-client: the same proxies, headers and connections.
  const answer: FetchResponse = await get({
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

/** For an older version, Unleash sends the constraints of a segment instead of its number. */
const SUPPORTED_SPEC = '5.2.0'
