// Gateways that share a state, each a process of its own, with two origins behind them and people in front.
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
import { type Answer, ask, quantile } from './load.ts'
import { type HttpOrigin, startNamedOrigin } from './origin.ts'
import { type CommandResult, type GatewayProcess, runStrangler, STRANGLER, startGatewayProcess } from './process.ts'
import { shop } from './shop.ts'
import { AUDIENCE, ecPair, goodClaims, ISSUER, pemOf, signed } from './tokens.ts'
import { until } from './until.ts'

export const FLAG = 'migrate-catalog'
export const CATALOG = '/products'

export type FleetOptions = {
  readonly gateways?: number
  /** Where the fleet meets; each gateway is alone with its folder without one. By gateway, where they take other ways. */
  readonly redis?: string | ((index: number) => string)
  /** The authority of the flags; they are embedded without one. By gateway, as above. */
  readonly unleash?: Unleash | ((index: number) => Unleash)
  /** Of the catalog, in `flags.json`. */
  readonly percentage?: number
  /** Variables of one gateway, beside those of all. */
  readonly env?: (index: number) => Readonly<Record<string, string>>
  /** The command that starts a gateway, where it is not this checkout's. */
  readonly command?: (index: number) => string
}

export type Unleash = { readonly apiUrl: string; readonly clientToken: string; readonly adminToken: string }

export type FleetGateway = GatewayProcess & {
  readonly index: number
  readonly url: string
  /** What the fleet calls it. */
  readonly id: string
  /** Asks its admin API, as anna unless told. */
  readonly api: <Body = ChangeResponse>(method: string, path: string, asked?: Asked) => Promise<ApiAnswer<Body>>
  /** Runs the command line against it, as anna. */
  readonly strangler: (...args: readonly string[]) => Promise<CommandResult>
  /** Who answers this person. */
  readonly sideOf: (person: string) => Promise<string>
}

export type Asked = {
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
   * Starts one more gateway, in a folder of its own or with the state of one that has ended.
   *
   * @param options.command as in `FleetOptions`
   */
  readonly join: (options?: { readonly stateOf?: FleetGateway; readonly command?: string }) => Promise<FleetGateway>
  /** Flips over the first gateway, and fails if it was not done and is not in force everywhere. */
  readonly flip: (percentage: number) => Promise<ChangeResponse>
  /** The audit log as the first gateway shows it, the newest first. */
  readonly history: () => Promise<readonly AuditRecord[]>
  /** Resolves when all gateways say the same generation and that all have it. */
  readonly converged: () => Promise<void>
  /** Who is answered by another side than the percentage says, on which gateway: nobody. */
  readonly misled: (percentage: number, among?: readonly FleetGateway[]) => Promise<string[]>
  readonly startLoad: (options?: LoadOptions) => FleetLoad
  /** People ask before, during and after a fault, and none of them may notice it: fails if one does. */
  readonly underLoad: (fault: () => Promise<void>, options?: LoadOptions) => Promise<void>
}

export type LoadOptions = {
  /** Of each gateway. */
  readonly clients?: number
  readonly pauseMs?: number
  /** All, unless told. */
  readonly among?: readonly FleetGateway[]
}

/** What became of one request, and when and whom it asked. */
export type Visit = Answer & {
  readonly gateway: number
  readonly person: string
  readonly startedAt: number
  readonly side: string
}

export type FleetLoad = {
  readonly visits: readonly Visit[]
  /** Lets requests under way finish. */
  readonly stop: () => Promise<readonly Visit[]>
  /** Resolves when every gateway has answered so many more. */
  readonly goOn: (visits?: number) => Promise<void>
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
    const where = typeof redis === 'function' ? redis(index) : redis
    const process = await startGatewayProcess(config, {
      percentages: { [FLAG]: percentage, 'migrate-orders': 0 },
      strangler: command,
      args: stateOf === undefined ? [] : ['--state-dir', join(stateOf.folder, 'state')],
      env: {
        STRANGLER_ADMIN_JWT_ISSUER: ISSUER,
        STRANGLER_ADMIN_JWT_AUDIENCE: AUDIENCE,
        STRANGLER_ADMIN_JWT_ALGORITHMS: 'ES256',
        STRANGLER_ADMIN_JWT_PUBLIC_KEY: publicKey,
        ...(where === undefined ? {} : { REDIS_URL: where }),
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
    misled: async (to, among = gateways) => {
      const all = await Promise.all(
        among.map(async ({ index, sideOf }) =>
          Promise.all(
            PEOPLE.map(async (person) => {
              const [is, should] = [await sideOf(person), sideAt(to, person)]
              return is === should ? [] : [`gateway ${index} sends ${person} to ${is} instead of ${should}`]
            }),
          ),
        ),
      )
      return all.flat(2)
    },
    startLoad,
    underLoad: async (fault, { among = gateways, ...more } = {}) => {
      const load = startLoad({ among, ...more })
      try {
        await load.goOn(Math.ceil((2 * FEWEST) / among.length))
        const faultAt = performance.now()
        await fault()
        await load.goOn(20)
        const harm = harmOf(await load.stop(), faultAt)
        if (harm.length > 0) throw new Error(`people have noticed: ${harm.slice(0, 20).join('; ')}`)
      } finally {
        await load.stop()
      }
    },
  }
}

/** Without a fallback, what went to the service and failed there would be seen. */
function contextOf(name: string, flag: string, path: string) {
  return { [name]: { owner: `team-${name}`, service: 'catalog', flag, routes: [path], fallback: false } }
}

function variablesOf({ apiUrl, clientToken, adminToken }: Unleash) {
  return { UNLEASH_URL: apiUrl, UNLEASH_API_TOKEN: clientToken, UNLEASH_ADMIN_TOKEN: adminToken }
}

function isConverged({ members }: FleetResponse, count: number): boolean {
  return members.length >= count && members.every((member) => member.isConverged)
}

/** So many that a percentage is one, and each of them is the same person on every gateway. */
const PEOPLE = Array.from({ length: 60 }, (_, number) => `person-${number}`)

/** Where Unleash itself would send this person. */
export function sideAt(percentage: number, person: string): string {
  return normalizedStrategyValue(person, FLAG) <= percentage ? 'service' : 'legacy'
}

function visit(port: number, person: string, agent?: http.Agent): Promise<Answer> {
  const headers = { cookie: `sid=${person}` }
  return ask({ port, path: CATALOG, headers, ...(agent === undefined ? {} : { agent }) })
}

/** The origin's name, or what came instead of it. */
function sideIn({ status, headers, error }: Answer): string {
  return status === 200 ? String(headers['x-side']) : (error ?? `status ${status}`)
}

/** Clients of every gateway, each on its own connection; who they are changes with every request. */
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
    goOn: async (more = 60) => {
      const from = visits.length
      await until(() => {
        const since = visits.slice(from)
        return gateways.every(({ index }) => since.filter(({ gateway }) => gateway === index).length >= more)
      })
    },
  }
}

/** Requests that were not answered, in words. */
export function failedOf(visits: readonly Visit[]): string[] {
  return visits
    .filter(({ status }) => status === 0 || status >= 500)
    .map(({ gateway, person, side }) => `gateway ${gateway} did not answer ${person}: ${side}`)
}

/** Requests begun after a moment that another side answered than the one that should, in words. */
export function astray(visits: readonly Visit[], after: number, sideOf: (person: string) => string): string[] {
  const since = visits.filter(({ startedAt }) => startedAt > after)
  if (since.length === 0) return ['nobody has asked since']
  return since
    .filter(({ side, person }) => side !== sideOf(person))
    .map(
      (one) => `${Math.round(one.startedAt - after)} ms later gateway ${one.gateway} sent ${one.person} to ${one.side}`,
    )
}

/** More than that a machine with other tests on it adds by itself; who waits for a Redis or an Unleash waits for seconds. */
const MEDIAN_MORE_MS = 25
const P99_MORE_MS = 400
const FEWEST = 100

/** What a fault that began at a moment has done to requests, in words: nothing. */
export function harmOf(visits: readonly Visit[], faultAt: number): string[] {
  const [before, during] = [
    visits.filter(({ startedAt, tookMs }) => startedAt + tookMs < faultAt),
    visits.filter(({ startedAt, tookMs }) => startedAt + tookMs >= faultAt),
  ].map((some) => some.map(({ tookMs }) => tookMs)) as [number[], number[]]
  const harm = failedOf(visits)
  if (before.length < FEWEST || during.length < FEWEST)
    harm.push(`too few to compare: ${before.length} before the fault, ${during.length} since`)
  for (const [name, share, moreMs] of [
    ['median', 0.5, MEDIAN_MORE_MS],
    ['p99', 0.99, P99_MORE_MS],
  ] as const) {
    const [was, is] = [quantile(before, share), quantile(during, share)]
    if (is > was + moreMs) harm.push(`the ${name} went from ${was.toFixed(1)} to ${is.toFixed(1)} ms`)
  }
  return harm
}
