// A fleet: gateway processes that share a state, with two origins, and with people as clients.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { normalizedStrategyValue } from 'unleash-client/lib/strategy/util.js'
import type { AuditPage, AuditRecord } from '../../src/admin/contract/audit.ts'
import type { ChangeResponse } from '../../src/admin/contract/change-requests.ts'
import type { FleetResponse } from '../../src/admin/contract/fleet-response.ts'
import type { Problem } from '../../src/admin/contract/problems.ts'
import { whenOver } from './lifetime.ts'
import { type Answer, quantile, sendRequest } from './load.ts'
import { type HttpOrigin, startNamedOrigin } from './origin.ts'
import { type CommandResult, type GatewayProcess, runStrangler, STRANGLER, startGatewayProcess } from './process.ts'
import { shop } from './shop.ts'
import { AUDIENCE, ecPair, goodClaims, ISSUER, pemOf, signed } from './tokens.ts'
import { until } from './until.ts'

export const FLAG = 'migrate-catalog'
export const CATALOG = '/products'

export type FleetOptions = {
  readonly gateways?: number
  /** The Redis of the fleet, or the URL for each gateway. Without it, each gateway is a fleet of its own. */
  readonly redis?: string | ((index: number) => string)
  /** The flag authority, or the Unleash for each gateway. Without it, flags are embedded. */
  readonly unleash?: Unleash | ((index: number) => Unleash)
  /** The percentage of `catalog` in `flags.json`. */
  readonly percentage?: number
  /** Additional environment variables of a gateway. */
  readonly env?: (index: number) => Readonly<Record<string, string>>
  /** The `strangler` command of a gateway. Default: that of this checkout. */
  readonly command?: (index: number) => string
}

export type Unleash = { readonly apiUrl: string; readonly clientToken: string; readonly adminToken: string }

export type FleetGateway = GatewayProcess & {
  readonly index: number
  readonly url: string
  /** The id of the gateway in the fleet. */
  readonly id: string
  /** Calls its admin API, by default as the user anna. */
  readonly api: <Body = ChangeResponse>(
    method: string,
    path: string,
    options?: ApiRequestOptions,
  ) => Promise<ApiAnswer<Body>>
  /** Runs the command line against it, as anna. */
  readonly strangler: (...args: readonly string[]) => Promise<CommandResult>
  /** The side that answers this person. */
  readonly sideOf: (person: string) => Promise<string>
}

export type ApiRequestOptions = {
  readonly body?: unknown
  readonly as?: string
  readonly headers?: Readonly<Record<string, string>>
}
export type ApiAnswer<Body> = { readonly status: number; readonly headers: Headers; readonly body: Body & Problem }

export type Fleet = {
  readonly gateways: readonly FleetGateway[]
  readonly legacy: HttpOrigin
  readonly service: HttpOrigin
  /** Runs the command line against the first gateway, as anna. */
  readonly strangler: (...args: readonly string[]) => Promise<CommandResult>
  /**
   * Starts another gateway, with its own state folder or with that of a stopped gateway.
   *
   * @param options.command as in `FleetOptions`
   */
  readonly join: (options?: { readonly stateOf?: FleetGateway; readonly command?: string }) => Promise<FleetGateway>
  /** Flips through the first gateway. Fails if the flip is not in force on every gateway. */
  readonly flip: (percentage: number) => Promise<ChangeResponse>
  /** The audit log from the first gateway, newest first. */
  readonly history: () => Promise<readonly AuditRecord[]>
  /** Resolves when all gateways report the same generation and a converged fleet. */
  readonly converged: () => Promise<void>
  /** Lists the people that a gateway sends to another side than the percentage determines. Expected to be empty. */
  readonly findWrongSides: (percentage: number, among?: readonly FleetGateway[]) => Promise<string[]>
  readonly startLoad: (options?: LoadOptions) => FleetLoad
  /** Runs a fault under load. Fails if a request fails or becomes slower. */
  readonly underLoad: (fault: () => Promise<void>, options?: LoadOptions) => Promise<void>
}

export type LoadOptions = {
  /** The number of clients of each gateway. */
  readonly clients?: number
  readonly pauseMs?: number
  /** The gateways under load. Default: all. */
  readonly among?: readonly FleetGateway[]
}

/** The result of one request, with its gateway and start. */
export type Visit = Answer & {
  readonly gateway: number
  readonly person: string
  readonly startedAt: number
  readonly side: string
}

export type FleetLoad = {
  readonly visits: readonly Visit[]
  /** Stops after the requests in flight have ended. */
  readonly stop: () => Promise<readonly Visit[]>
  /** Resolves when every gateway has answered this number of further requests. */
  readonly untilVisits: (visits?: number) => Promise<void>
}

export async function startFleet(options: FleetOptions = {}): Promise<Fleet> {
  const { gateways: count = 3, redis, unleash, percentage = 0 } = options
  const folder = await mkdtemp(join(tmpdir(), 'strangler-fleet-'))
  whenOver(() => rm(folder, { recursive: true, force: true }))
  const issuer = ecPair('P-256')
  const publicKey = join(folder, 'issuer.pem')
  await writeFile(publicKey, pemOf(issuer))
  const tokenOf = (name: string) => {
    const payload = goodClaims({ sub: name, role: 'admin', exp: Math.floor(Date.now() / 1000) + 24 * 3600 })
    return signed('ES256', issuer.privateKey, { payload })
  }
  const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
  const config = shop({
    legacy: legacy.url,
    service: service.url,
    with: {
      drain: { noticeMs: 0, limitMs: 2000 },
      contexts: { ...contextOf('catalog', FLAG, CATALOG), ...contextOf('orders', 'migrate-orders', '/orders') },
    },
  })
  const gateways: FleetGateway[] = []

  async function start(
    index: number,
    stateOf?: FleetGateway,
    command = options.command?.(index) ?? STRANGLER,
  ): Promise<FleetGateway> {
    const redisUrl = typeof redis === 'function' ? redis(index) : redis
    const process = await startGatewayProcess(config, {
      percentages: { [FLAG]: percentage, 'migrate-orders': 0 },
      strangler: command,
      args: stateOf === undefined ? [] : ['--state-dir', join(stateOf.folder, 'state')],
      env: {
        STRANGLER_ADMIN_JWT_ISSUER: ISSUER,
        STRANGLER_ADMIN_JWT_AUDIENCE: AUDIENCE,
        STRANGLER_ADMIN_JWT_ALGORITHMS: 'ES256',
        STRANGLER_ADMIN_JWT_PUBLIC_KEY: publicKey,
        ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }),
        ...(unleash === undefined ? {} : variablesOf(typeof unleash === 'function' ? unleash(index) : unleash)),
        ...options.env?.(index),
      },
    })
    const url = `http://127.0.0.1:${process.adminPort}`
    const api: FleetGateway['api'] = async (method, path, { body, as = 'anna', headers = {} } = {}) => {
      const answer = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${tokenOf(as)}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return { status: answer.status, headers: answer.headers, body: (await answer.json()) as never }
    }
    let id: string | undefined
    await until(async () => {
      const { members } = (await api<FleetResponse>('GET', '/fleet')).body
      id = members.find(({ address }) => address === url)?.id
      return id !== undefined
    })
    return {
      ...process,
      index,
      url,
      id: id as string,
      api,
      strangler: (...args) =>
        runStrangler(args, { env: { STRANGLER_URL: url, STRANGLER_TOKEN: tokenOf('anna') }, command }),
      sideOf: async (person) => sideIn(await visit(process.port, person)),
    }
  }

  gateways.push(...(await Promise.all(Array.from({ length: count }, (_, index) => start(index)))))
  const first = gateways[0] as FleetGateway

  async function converged(): Promise<void> {
    await until(async () => {
      const views = await Promise.all(gateways.map(({ api }) => api<FleetResponse>('GET', '/fleet')))
      const generations = new Set(views.map(({ body }) => body.generation))
      return generations.size === 1 && views.every(({ body }) => isConverged(body, redis === undefined ? 1 : count))
    })
  }

  const startLoad = ({ clients = 2, pauseMs = 10, among = gateways }: LoadOptions = {}) =>
    startFleetLoad(among, clients, pauseMs)

  await converged()
  return {
    gateways,
    legacy,
    service,
    strangler: first.strangler,
    join: ({ stateOf, command } = {}) => start(gateways.length, stateOf, command),
    flip: async (to) => {
      const { status, body } = await first.api('PUT', `/contexts/catalog/flag`, { body: { percentage: to } })
      if (status !== 200 || !body.converged) throw new Error(`flip to ${to}: ${status} ${JSON.stringify(body)}`)
      return body
    },
    history: async () => (await first.api<AuditPage>('GET', '/audit?limit=200')).body.records,
    converged,
    findWrongSides: async (to, among = gateways) => {
      const messages = await Promise.all(
        among.map(async ({ index, sideOf }) =>
          Promise.all(
            PEOPLE.map(async (person) => {
              const [side, expected] = [await sideOf(person), sideAt(to, person)]
              return side === expected ? [] : [`gateway ${index} sends ${person} to ${side} instead of ${expected}`]
            }),
          ),
        ),
      )
      return messages.flat(2)
    },
    startLoad,
    underLoad: async (fault, { among = gateways, ...more } = {}) => {
      const load = startLoad({ among, ...more })
      try {
        await load.untilVisits(Math.ceil((2 * MIN_REQUESTS) / among.length))
        const faultAt = performance.now()
        await fault()
        await load.untilVisits(20)
        const harm = listHarm(await load.stop(), faultAt)
        if (harm.length > 0) throw new Error(`requests were affected: ${harm.slice(0, 20).join('; ')}`)
      } finally {
        await load.stop()
      }
    },
  }
}

/** Without a fallback, so that a failure of the service is visible. */
function contextOf(name: string, flag: string, path: string) {
  return { [name]: { owner: `team-${name}`, service: 'catalog', flag, routes: [path], fallback: false } }
}

function variablesOf({ apiUrl, clientToken, adminToken }: Unleash) {
  return { UNLEASH_URL: apiUrl, UNLEASH_API_TOKEN: clientToken, UNLEASH_ADMIN_TOKEN: adminToken }
}

function isConverged({ members }: FleetResponse, count: number): boolean {
  return members.length >= count && members.every((member) => member.isConverged)
}

/** Session ids, the same on every gateway; enough of them for each percentage to select some. */
const PEOPLE = Array.from({ length: 60 }, (_, number) => `person-${number}`)

/** The side to which Unleash itself assigns this person. */
export function sideAt(percentage: number, person: string): string {
  return normalizedStrategyValue(person, FLAG) <= percentage ? 'service' : 'legacy'
}

function visit(port: number, person: string, agent?: http.Agent): Promise<Answer> {
  const headers = { cookie: `sid=${person}` }
  return sendRequest({ port, path: CATALOG, headers, ...(agent === undefined ? {} : { agent }) })
}

/** The name of the origin that answered, or the error. */
function sideIn({ status, headers, error }: Answer): string {
  return status === 200 ? String(headers['x-side']) : (error ?? `status ${status}`)
}

/** Starts clients of every gateway, each with its own connection, that change their session with every request. */
function startFleetLoad(gateways: readonly FleetGateway[], clients: number, pauseMs: number): FleetLoad {
  const visits: Visit[] = []
  let number = 0
  let isStopped = false
  const client = async ({ index, port }: FleetGateway) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    while (!isStopped) {
      const person = PEOPLE[number++ % PEOPLE.length] as string
      const startedAt = performance.now()
      const answer = await visit(port, person, agent)
      visits.push({ ...answer, gateway: index, person, startedAt, side: sideIn(answer) })
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
    agent.destroy()
  }
  const running = gateways.flatMap((gateway) => Array.from({ length: clients }, () => client(gateway)))
  return {
    visits,
    stop: async () => {
      isStopped = true
      await Promise.all(running)
      return visits
    },
    untilVisits: async (more = 60) => {
      const from = visits.length
      await until(() => {
        const since = visits.slice(from)
        return gateways.every(({ index }) => since.filter(({ gateway }) => gateway === index).length >= more)
      })
    },
  }
}

/** Describes the requests without a response. */
export function listFailures(visits: readonly Visit[]): string[] {
  return visits
    .filter(({ status }) => status === 0 || status >= 500)
    .map(({ gateway, person, side }) => `gateway ${gateway} did not answer ${person}: ${side}`)
}

/** Describes the requests that began after a moment and were answered by the wrong side. */
export function listWrongSides(
  visits: readonly Visit[],
  momentMs: number,
  sideOf: (person: string) => string,
): string[] {
  const since = visits.filter(({ startedAt }) => startedAt > momentMs)
  if (since.length === 0) return ['no request has started since']
  return since
    .filter(({ side, person }) => side !== sideOf(person))
    .map(
      (visit) =>
        `${Math.round(visit.startedAt - momentMs)} ms later gateway ${visit.gateway} sent ${visit.person} to ${visit.side}`,
    )
}

/** The limits allow for other tests on the machine. A request that waits for Redis or Unleash takes seconds. */
const MAX_MEDIAN_INCREASE_MS = 25
const MAX_P99_INCREASE_MS = 400
const MIN_REQUESTS = 100

/** Describes the failed requests and the increase in duration since a fault. Expected to be empty. */
export function listHarm(visits: readonly Visit[], faultAt: number): string[] {
  const [beforeFault, sinceFault] = [
    visits.filter(({ startedAt, tookMs }) => startedAt + tookMs < faultAt),
    visits.filter(({ startedAt, tookMs }) => startedAt + tookMs >= faultAt),
  ].map((group) => group.map(({ tookMs }) => tookMs)) as [number[], number[]]
  const harm = listFailures(visits)
  if (beforeFault.length < MIN_REQUESTS || sinceFault.length < MIN_REQUESTS)
    harm.push(`too few to compare: ${beforeFault.length} before the fault, ${sinceFault.length} since`)
  for (const [name, share, moreMs] of [
    ['median', 0.5, MAX_MEDIAN_INCREASE_MS],
    ['p99', 0.99, MAX_P99_INCREASE_MS],
  ] as const) {
    const [earlier, later] = [quantile(beforeFault, share), quantile(sinceFault, share)]
    if (later > earlier + moreMs) harm.push(`the ${name} went from ${earlier.toFixed(1)} to ${later.toFixed(1)} ms`)
  }
  return harm
}
