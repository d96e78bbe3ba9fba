// A gateway with one shadowed context and two origins that record their requests.
import type { IncomingHttpHeaders, IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { RoutesConfig, ShadowConfig } from '../../src/config/define-routes.ts'
import { startGateway, type TestGateway, type TestGatewayOptions } from './gateway.ts'
import { type HttpOrigin, startHttpOrigin } from './origin.ts'
import { until } from './until.ts'

export type RecordedRequest = {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** Grows while the body arrives. */
  body: string
}

export type RecordingOrigin = HttpOrigin & {
  readonly seen: RecordedRequest[]
  /** The requests that are not copies. */
  readonly real: () => RecordedRequest[]
  readonly copies: () => RecordedRequest[]
}

export type Shadowed = {
  readonly gateway: TestGateway
  readonly legacy: RecordingOrigin
  readonly service: RecordingOrigin
  /** Resolves when this number of eligible requests has ended. */
  readonly settled: (eligible: number) => Promise<void>
  /** The number of requests with this outcome, and with this reason if given. */
  readonly ended: (outcome: string, reason?: string) => Promise<number>
  /** The counts of ended requests, by `outcome` or `outcome(reason)`. */
  readonly endings: () => Promise<Record<string, number>>
}

export type ShadowedOptions = TestGatewayOptions & {
  readonly shadow?: ShadowConfig
  readonly legacy?: RequestListener
  readonly service?: RequestListener
  /** Replaces the listener of the service. */
  readonly serviceUrl?: string
  readonly map?: Partial<RoutesConfig>
}

export const CONTEXT = 'catalog'
export const FLAG = 'migrate-catalog'

export async function startShadowed(options: ShadowedOptions = {}): Promise<Shadowed> {
  const { shadow, legacy: answersLegacy, service: answersService, serviceUrl, map, ...rest } = options
  const legacy = await startRecordingOrigin(answersLegacy ?? respondWithSide('legacy'))
  const service = await startRecordingOrigin(answersService ?? respondWithSide('service'))
  const gateway = await startGateway(
    {
      legacy: { url: legacy.url },
      // A busy machine must not shed copies in these tests.
      shadowing: { lagMs: 60_000, cpuShare: 1 },
      services: { [CONTEXT]: { url: serviceUrl ?? service.url } },
      contexts: {
        [CONTEXT]: {
          owner: 'team-catalog',
          service: CONTEXT,
          flag: FLAG,
          routes: ['/products', '/products/:id', '/api/catalog/*'],
          shadow: { sample: 1, ...(shadow ?? {}) },
        },
      },
      ...map,
    },
    { percentages: { [FLAG]: 0 }, ...rest },
  )
  const endings = async () => readEndings(await gateway.metrics())
  return {
    gateway,
    legacy,
    service,
    endings,
    ended: async (outcome, reason) => {
      const outcomes = Object.entries(await endings())
      const label = reason === undefined ? outcome : `${outcome}(${reason})`
      return outcomes
        .filter(([name]) => name === label || (reason === undefined && name.startsWith(`${outcome}(`)))
        .reduce((sum, [, count]) => sum + count, 0)
    },
    settled: async (eligible) => {
      await until(async () => {
        const text = await gateway.metrics()
        const ended = Object.values(readEndings(text)).reduce((sum, count) => sum + count, 0)
        return eligibleIn(text) === eligible && ended === eligible
      }, 50_000)
    },
  }
}

/** The sum of `strangler_shadow_eligible_total` over all contexts. */
export function eligibleIn(metrics: string): number {
  return [...metrics.matchAll(/^strangler_shadow_eligible_total\{[^}]*\} (\d+)$/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  )
}

export function readEndings(metrics: string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const [, labels, count] of metrics.matchAll(/^strangler_shadow_outcomes_total\{([^}]*)\} (\d+)$/gm)) {
    const { outcome, reason } = Object.fromEntries(
      [...(labels as string).matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
    ) as { outcome: string; reason: string }
    const name = reason === '' ? outcome : `${outcome}(${reason})`
    counts[name] = (counts[name] ?? 0) + Number(count)
  }
  return counts
}

async function startRecordingOrigin(answer: RequestListener): Promise<RecordingOrigin> {
  const seen: RecordedRequest[] = []
  const origin = await startHttpOrigin((request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '', headers } = request
    const entry: RecordedRequest = { method, url, headers, body: '' }
    seen.push(entry)
    request.on('data', (bytes: Buffer) => {
      entry.body += bytes.toString('latin1')
    })
    answer(request, response)
  })
  const isCopy = ({ headers }: RecordedRequest) => headers['x-shadow'] !== undefined
  return { ...origin, seen, real: () => seen.filter((request) => !isCopy(request)), copies: () => seen.filter(isCopy) }
}

/** Responds with the name of the side. */
export function respondWithSide(side: string): RequestListener {
  return (request, response) => {
    request.resume().on('end', () => {
      response.setHeader('Content-Type', 'application/json')
      response.end(JSON.stringify({ side, path: request.url }))
    })
  }
}

/** Responds equally on both sides. */
export const respondEqually: RequestListener = (request, response) => {
  request.resume().on('end', () => {
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify({ path: request.url, price: 12.5 }))
  })
}
