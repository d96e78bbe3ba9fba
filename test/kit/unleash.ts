// A real Unleash for tests: `const unleash = sharedByFile(startUnleash)`, then `unleash()`.
import { whenOver } from './lifetime.ts'
import { startUnleashServer, type UnleashServer } from './unleash-server.ts'

export type TestUnleash = Omit<UnleashServer, 'stop'> & {
  /** The base address of the API, as in `UNLEASH_URL`. */
  readonly apiUrl: string
  /** Creates a flag in `development`, by default enabled, with one gradual rollout. */
  readonly createFlag: (name: string, as?: NewFlag) => Promise<void>
  /** Sets the rollout of the first strategy of the flag, as a user of the Unleash UI does. */
  readonly setRollout: (name: string, percentage: number) => Promise<void>
  readonly setEnabled: (name: string, enabled: boolean) => Promise<void>
  /** The flag in `development` from the Admin API; undefined if it does not exist. */
  readonly getFlag: (name: string) => Promise<ShownFlag | undefined>
  readonly deleteFlag: (name: string) => Promise<void>
  /** The rollouts of the flag that clients receive; undefined while they do not receive the flag. */
  readonly clientRollouts: (name: string) => Promise<string[] | undefined>
  /** @returns the id of a segment of these users */
  readonly createSegment: (name: string, userIds: readonly string[]) => Promise<number>
  /** Creates a backend token for `development` that is valid until `expiresAt`. */
  readonly createToken: (expiresAt: Date) => Promise<string>
  /** Unleash reads its tokens at its start and once a minute. */
  readonly setTokenEnd: (token: string, expiresAt: Date) => Promise<void>
  readonly deleteToken: (token: string) => Promise<void>
  /** Sends another request to the Admin API. @throws if the response is not a success */
  readonly admin: (method: string, path: string, body?: unknown) => Promise<unknown>
}

export type NewFlag = {
  readonly enabled?: boolean
  readonly percentage?: number
  readonly strategies?: readonly object[]
}

export type ShownFlag = {
  readonly name: string
  readonly type: string
  readonly description: string | null
  readonly enabled: boolean
  readonly strategies: readonly Record<string, unknown>[]
  readonly variants: readonly unknown[]
}

const PROJECT = '/api/admin/projects/default/features'

/** @param flags the names and percentages of the initial flags */
export async function startUnleash({
  flags = {},
}: {
  flags?: Readonly<Record<string, number>>
} = {}): Promise<TestUnleash> {
  const server = await startUnleashServer()
  whenOver(server.stop)

  async function ask(method: string, path: string, body?: unknown): Promise<Response> {
    const answer = await fetch(`${server.url}${path}`, {
      method,
      headers: { authorization: server.adminToken, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (!answer.ok && answer.status !== 404)
      throw new Error(`${method} ${path} was answered ${answer.status}: ${await answer.text()}`)
    return answer
  }

  async function admin(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await ask(method, path, body)
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path} was answered ${answer.status}: ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }

  const inDevelopment = (name: string) => `${PROJECT}/${name}/environments/development`

  async function getFlag(name: string): Promise<ShownFlag | undefined> {
    const answer = await ask('GET', `${PROJECT}/${name}`)
    if (answer.status === 404) return undefined
    const { environments, type, description } = (await answer.json()) as ShownFlag & { environments: ShownFlag[] }
    const here = environments.find((environment) => environment.name === 'development') as ShownFlag
    return { name, type, description, enabled: here.enabled, strategies: here.strategies, variants: here.variants }
  }

  async function createFlag(name: string, { enabled = true, percentage = 100, strategies }: NewFlag = {}) {
    await admin('POST', PROJECT, { name, type: 'release' })
    for (const strategy of strategies ?? [gradualRollout(name, percentage)])
      await admin('POST', `${inDevelopment(name)}/strategies`, strategy)
    if (enabled) await admin('POST', `${inDevelopment(name)}/on`, {})
  }

  for (const [name, percentage] of Object.entries(flags)) await createFlag(name, { percentage })
  return {
    ...server,
    apiUrl: `${server.url}/api/`,
    admin,
    createFlag,
    getFlag,
    async setRollout(name, percentage) {
      const first = (await getFlag(name))?.strategies[0]?.id
      const patch = [{ op: 'replace', path: '/parameters/rollout', value: String(percentage) }]
      await admin('PATCH', `${inDevelopment(name)}/strategies/${first}`, patch)
    },
    async setEnabled(name, enabled) {
      await admin('POST', `${inDevelopment(name)}/${enabled ? 'on' : 'off'}`, {})
    },
    async deleteFlag(name) {
      await admin('DELETE', `${PROJECT}/${name}`)
      await admin('DELETE', `/api/admin/archive/${name}`)
    },
    async clientRollouts(name) {
      const answer = await fetch(`${server.url}/api/client/features`, {
        headers: { authorization: server.clientToken },
      })
      const { features } = (await answer.json()) as {
        features: { name: string; strategies: { parameters: { rollout: string } }[] }[]
      }
      return features.find((feature) => feature.name === name)?.strategies.map(({ parameters }) => parameters.rollout)
    },
    async createSegment(name, userIds) {
      const constraints = [{ contextName: 'userId', operator: 'IN', values: userIds }]
      const { id } = (await admin('POST', '/api/admin/segments', { name, constraints })) as { id: number }
      return id
    },
    async createToken(expiresAt) {
      const { secret } = (await admin('POST', '/api/admin/api-tokens', {
        tokenName: 'a-gateway',
        type: 'client',
        environment: 'development',
        projects: ['*'],
        expiresAt,
      })) as { secret: string }
      return secret
    },
    async setTokenEnd(token, expiresAt) {
      await admin('PUT', `/api/admin/api-tokens/${token}`, { expiresAt })
    },
    async deleteToken(token) {
      await admin('DELETE', `/api/admin/api-tokens/${token}`)
    },
  }
}

/** A strategy as the Unleash UI creates it. */
export function gradualRollout(flag: string, percentage: number, more: object = {}): object {
  const parameters = { rollout: String(percentage), stickiness: 'default', groupId: flag }
  return { name: 'flexibleRollout', parameters, constraints: [], ...more }
}
