// The load balancer configurations of docs/operating.md, run by the real programs in front of real gateway processes.
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished } from 'vitest'
import { whenOver } from '../kit/lifetime.ts'
import { sendRequest, startLoad } from '../kit/load.ts'
import { freePort, startHttpOrigin } from '../kit/origin.ts'
import { type GatewayProcess, startGatewayProcess } from '../kit/process.ts'
import { testWith } from '../kit/programs.ts'
import { startRedis } from '../kit/redis.ts'
import { until } from '../kit/until.ts'
import { fences, read, section } from './markdown.ts'
import { textOf } from './shop.ts'

const OPERATING = read('docs/operating.md')

/** The first example in this language under a heading of docs/operating.md. */
function example(heading: string, language: string): string {
  const block = fences(section(OPERATING, heading)).find((fence) => fence.language === language)
  if (block === undefined) throw new Error(`"${heading}" has no example in ${language}`)
  return block.code
}

/** The origin takes a moment for some requests, so that a drain always has requests under way. */
function startOrigin() {
  return startHttpOrigin((request, response) => {
    request.resume()
    setTimeout(() => response.end('legacy'), request.url === '/slow' ? 300 : 0)
  })
}

/** Two gateways whose notice is the documented default. */
async function startGateways(): Promise<readonly [GatewayProcess, GatewayProcess]> {
  const origin = await startOrigin()
  const config = { legacy: { url: origin.url }, trustedProxies: ['127.0.0.1/32'] }
  return [await startGatewayProcess(config), await startGatewayProcess(config)]
}

/** Starts a program in the foreground. It is killed when the test is over. @returns what it has printed so far */
function run(command: string, args: readonly string[]): () => string {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)]
  const closed = new Promise((resolve) => child.once('close', resolve))
  whenOver(async () => {
    child.kill('SIGTERM')
    await closed
  })
  return () => stdout() + stderr()
}

async function fileWith(name: string, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-balancer-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, name), text)
  return join(folder, name)
}

async function startHaproxy(config: string): Promise<() => string> {
  return run('haproxy', ['-db', '-f', await fileWith('haproxy.cfg', config)])
}

/** The document's server block is a part of nginx.conf; this is the rest. */
async function startNginx(config: string): Promise<() => string> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-nginx-'))
  whenOver(() => rm(folder, { recursive: true, force: true }))
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  const nginxConf = `daemon off; pid ${folder}/pid; error_log stderr warn; events {}
http { access_log off; ${paths.join(' ')}
${config} }`
  const file = await fileWith('nginx.conf', nginxConf)
  return run('nginx', ['-e', 'stderr', '-c', file])
}

/** Puts the ports of the test in the place of those that the document names. */
function withPorts(config: string, ports: Readonly<Record<string, string>>): string {
  return Object.entries(ports).reduce((text, [written, real]) => {
    expect(text).toContain(written)
    return text.replaceAll(written, real)
  }, config)
}

async function untilServed(port: number): Promise<void> {
  await until(async () => (await sendRequest({ port })).status === 200, 20_000)
}

/** Clients go on before, during and after the drain of one gateway. None of their requests may fail. */
async function drainUnderLoad(
  port: number,
  [leaving, staying]: readonly GatewayProcess[],
  whileDraining: () => Promise<void> = async () => {},
): Promise<void> {
  const load = startLoad(
    20,
    (number) => ({
      port,
      path: number % 10 === 0 ? '/slow' : '/quick',
      method: number % 5 === 0 ? 'POST' : 'GET',
      body: number % 5 === 0 ? 'body' : '',
    }),
    20,
  )
  await until(async () => (await leaving?.accessLog())?.length !== 0 && (await staying?.accessLog())?.length !== 0)
  leaving?.signal('SIGTERM')
  await whileDraining()
  expect(await leaving?.exited).toEqual({ code: 0, signal: null })
  const answersBefore = load.answers.length
  await until(() => load.answers.length > answersBefore + 100)
  const { answers, failed } = await load.stop()
  expect(failed).toEqual([])
  expect(answers.every(({ status }) => status === 200)).toBe(true)
  expect(leaving?.log()).toMatch(/"inFlight":0/)
}

const LIMIT_MS = 60_000

describe('the health checks of docs/operating.md', () => {
  testWith('haproxy')(
    'HAProxy takes a draining gateway out before it closes its port, and no request fails',
    async () => {
      const gateways = await startGateways()
      const [first, second] = gateways
      const port = await freePort()
      const log = await startHaproxy(
        withPorts(example('HAProxy', 'haproxy'), {
          'bind :80': `bind 127.0.0.1:${port}`,
          '10.0.0.7:8080 port 8081': `127.0.0.1:${first.port} port ${first.adminPort}`,
          '10.0.0.8:8080 port 8081': `127.0.0.1:${second.port} port ${second.adminPort}`,
        }),
      )
      await untilServed(port)
      await drainUnderLoad(port, gateways, async () => {
        await until(() => /gateways\/edge-1 is DOWN, reason: Layer7 wrong status, code: 503/.test(log()))
        // The port is still open: the gateway answers a request that HAProxy has already sent.
        expect((await sendRequest({ port: first.port })).status).toBe(200)
      })
      expect(log()).not.toMatch(/edge-2 is DOWN/)
    },
    LIMIT_MS,
  )

  testWith('nginx')(
    'nginx turns to the other gateway when a draining one has closed its port, and no request fails',
    async () => {
      const gateways = await startGateways()
      const [first, second] = gateways
      const port = await freePort()
      await startNginx(
        withPorts(example('nginx', 'nginx'), {
          'listen 80': `listen 127.0.0.1:${port}`,
          '10.0.0.7:8080': `127.0.0.1:${first.port}`,
          '10.0.0.8:8080': `127.0.0.1:${second.port}`,
        }),
      )
      await untilServed(port)
      await drainUnderLoad(port, gateways)
    },
    LIMIT_MS,
  )
})

describe('several processes on one host', () => {
  testWith('haproxy')(
    'two processes started by the variables of the unit are a fleet behind the HAProxy of the chapter, and one drains without a failed request',
    async () => {
      const heading = 'Several processes on one host'
      const origin = await startOrigin()
      const redis = await startRedis()
      const folder = await mkdtemp(join(tmpdir(), 'strangler-unit-'))
      whenOver(() => rm(folder, { recursive: true, force: true }))
      const shared = {
        REDIS_URL: redis.url,
        STRANGLER_COOKIE_SECRET: 'a-secret-that-all-processes-share',
        STRANGLER_ADMIN_TOKEN: 'a-token-that-all-processes-share-0123456789',
      }
      const processes: GatewayProcess[] = []
      const ports: Record<string, string> = {}
      for (const instance of ['1', '2']) {
        const [port, adminPort] = [await freePort(), await freePort()]
        ports[`127.0.0.1:900${instance} port 910${instance}`] = `127.0.0.1:${port} port ${adminPort}`
        const variables = unitVariables(example(heading, 'systemd'), instance)
        expect(variables).toMatchObject({
          STRANGLER_PORT: `900${instance}`,
          STRANGLER_ADMIN_PORT: `910${instance}`,
          STRANGLER_STATE_DIR: `/var/lib/strangler/${instance}`,
        })
        const here = (path = '') => join(folder, path.replaceAll('/', '_'))
        const stateDir = here(variables.STRANGLER_STATE_DIR)
        // The command line wins over the variables of the unit: the test needs free ports and a folder of its own.
        const args = [`--port=${port}`, `--admin-port=${adminPort}`, '--state-dir', stateDir]
        const env = { ...variables, ...shared, STRANGLER_ACCESS_LOG: here(variables.STRANGLER_ACCESS_LOG) }
        const config = { legacy: { url: origin.url }, trustedProxies: ['127.0.0.1/32'] }
        processes.push(await startGatewayProcess(config, { args, env }))
      }
      const [first, second] = processes as [GatewayProcess, GatewayProcess]
      const api = (gateway: GatewayProcess, path: string, method = 'GET', body?: string) =>
        fetch(`http://127.0.0.1:${gateway.adminPort}/api/v1${path}`, {
          method,
          headers: { Authorization: `Bearer ${shared.STRANGLER_ADMIN_TOKEN}`, 'Content-Type': 'application/json' },
          ...(body === undefined ? {} : { body }),
        })
      const killed = await api(first, '/kill-switch', 'PUT', '{"reason":"a change reaches every process"}')
      expect(await killed.json()).toMatchObject({ convergence: { applied: 2, of: 2 } })
      expect((await second.readiness()).killed).toBe(true)

      const port = await freePort()
      const config = withPorts(example(heading, 'haproxy'), { 'bind :80': `bind 127.0.0.1:${port}`, ...ports })
      const log = await startHaproxy(config)
      await untilServed(port)
      await drainUnderLoad(port, processes, () =>
        until(() => /processes\/process-1 is DOWN, reason: Layer7 wrong status, code: 503/.test(log())),
      )
    },
    LIMIT_MS,
  )
})

/** What a systemd template unit sets for one instance. */
function unitVariables(unit: string, instance: string): Record<string, string> {
  const lines = [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)]
  return Object.fromEntries(lines.map(([, name = '', value = '']) => [name, value.replaceAll('%i', instance)]))
}
