// A gateway with one shadowed context between two origins that remember what they were asked.
import type { IncomingHttpHeaders, IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { RoutesConfig, ShadowConfig } from '../../src/config/define-routes.ts'
import { startGateway, type TestGateway, type TestGatewayOptions } from './gateway.ts'
import { type HttpOrigin, startHttpOrigin } from './origin.ts'
import { until } from './until.ts'

export type Seen = {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** Filled as the body comes. */
  body: string
}

export type SeeingOrigin = HttpOrigin & {
  readonly seen: Seen[]
  /** What was no copy. */
  readonly real: () => Seen[]
  readonly copies: () => Seen[]
}

export type Shadowed = {
  readonly gateway: TestGateway
  readonly legacy: SeeingOrigin
  readonly service: SeeingOrigin
  /** Resolves when so many eligible requests have come to their end. */
  readonly settled: (eligible: number) => Promise<void>
  /** How many ended in an outcome, for whatever reason or for this one. */
  readonly ended: (outcome: string, reason?: string) => Promise<number>
  /** Everything that ended, as `outcome` or `outcome(reason)`. */
  readonly endings: () => Promise<Record<string, number>>
}

export type ShadowedOptions = TestGatewayOptions & {
  readonly shadow?: ShadowConfig
  readonly legacy?: RequestListener
  readonly service?: RequestListener
  /** In the place of the service's own. */
  readonly serviceUrl?: string
  readonly map?: Partial<RoutesConfig>
}

export const CONTEXT = 'catalog'
export const FLAG = 'migrate-catalog'

export async function startShadowed(options: ShadowedOptions = {}): Promise<Shadowed> {
  const { shadow, legacy: answersLegacy, service: answersService, serviceUrl, map, ...rest } = options
  const legacy = await startSeeing(answersLegacy ?? saysSide('legacy'))
  const service = await startSeeing(answersService ?? saysSide('service'))
  const gateway = await startGateway(
    {
      legacy: { url: legacy.url },
      // What a busy machine sheds is another test's.
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
      const all = Object.entries(await endings())
      const wanted = reason === undefined ? outcome : `${outcome}(${reason})`
      return all
        .filter(([name]) => name === wanted || (reason === undefined && name.startsWith(`${outcome}(`)))
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

/** `strangler_shadow_eligible_total`, over all contexts. */
export function eligibleIn(metrics: string): number {
  return [...metrics.matchAll(/^strangler_shadow_eligible_total\{[^}]*\} (\d+)$/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  )
}

export function readEndings(metrics: string): Record<string, number> {
  const found: Record<string, number> = {}
  for (const [, labels, count] of metrics.matchAll(/^strangler_shadow_outcomes_total\{([^}]*)\} (\d+)$/gm)) {
    const { outcome, reason } = Object.fromEntries(
      [...(labels as string).matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
    ) as { outcome: string; reason: string }
    const name = reason === '' ? outcome : `${outcome}(${reason})`
    found[name] = (found[name] ?? 0) + Number(count)
  }
  return found
}

async function startSeeing(answer: RequestListener): Promise<SeeingOrigin> {
  const seen: Seen[] = []
  const origin = await startHttpOrigin((request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '', headers } = request
    const one: Seen = { method, url, headers, body: '' }
    seen.push(one)
    request.on('data', (bytes: Buffer) => {
      one.body += bytes.toString('latin1')
    })
    answer(request, response)
  })
  const isCopy = ({ headers }: Seen) => headers['x-shadow'] !== undefined
  return { ...origin, seen, real: () => seen.filter((one) => !isCopy(one)), copies: () => seen.filter(isCopy) }
}

/** Says who it is. */
export function saysSide(side: string): RequestListener {
  return (request, response) => {
    request.resume().on('end', () => {
      response.setHeader('Content-Type', 'application/json')
      response.end(JSON.stringify({ side, path: request.url }))
    })
  }
}

/** Says the same on either side. */
export const saysTheSame: RequestListener = (request, response) => {
  request.resume().on('end', () => {
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify({ path: request.url, price: 12.5 }))
  })
}
