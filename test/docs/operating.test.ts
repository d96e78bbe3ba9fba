// Runs the commands of the runbook, docs/operating.md, in their order, on three gateways with a Redis that stops and restarts.
import { type ChildProcess, spawn } from 'node:child_process'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { STRANGLER, withoutProductVariables } from '../kit/process.ts'
import { type RedisProcess, startRedis } from '../kit/redis.ts'
import { until } from '../kit/until.ts'
import { fences, lines, ROOT, read, section } from './markdown.ts'
import { output, textOf } from './shop.ts'

const RUNBOOK = read('docs/operating.md')
const TOKEN = 'a-token-of-the-runbook-and-no-other'

it('every command of the runbook prints the output that docs/operating.md shows', async () => {
  const redis = await startRedis()
  const fleet = await startFleet(redis, 3)

  await fleet.runs('Flip')
  await fleet.runs('Roll back')

  await redis.kill()
  await fleet.until(({ store }) => !store.connected)
  await fleet.runs('Redis is unavailable', async (command) => {
    const isKilled = command.startsWith('touch')
    await fleet.until(({ killed }, gateway) => killed === (isKilled && gateway === 0))
  })
  await redis.restart()
  await fleet.until(({ store }) => store.connected)
  await until(async () => (await fleet.run('strangler fleet || true')).split('converged').length === 4)

  await fleet.runs('A gateway lags')
  // Changes without Redis, and the changes that Redis has lost, are recorded within seconds of its return.
  await until(async () => {
    const history = await fleet.run('strangler history')
    return /^\S+ \S+ +kill .* on \S+ alone/m.test(history) && / restore /.test(history)
  })
}, 60_000)

it('docs/operating.md has a section for each operation and incident', () => {
  for (const title of [
    'Flip',
    'Roll back',
    'Redis is unavailable',
    'Unleash is unavailable',
    'A gateway lags',
    'Rotating',
  ])
    expect(section(RUNBOOK, title).length, title).toBeGreaterThan(200)
})

type Readiness = { readonly killed: boolean; readonly store: { readonly connected: boolean } }

async function startFleet(redis: RedisProcess, size: number) {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-runbook-'))
  await copyFile(join(ROOT, 'flags.json'), join(folder, 'flags.json'))
  const children: ChildProcess[] = []
  onTestFinished(async () => {
    const ended = children.map((child) => new Promise((resolve) => child.once('close', resolve)))
    for (const child of children) child.kill('SIGKILL')
    await Promise.all(ended)
    await rm(folder, { recursive: true, force: true })
  })
  const env = {
    ...withoutProductVariables(process.env),
    STRANGLER_CONFIG: join(ROOT, 'routes.config.ts'),
    STRANGLER_FLAGS: 'flags.json',
    STRANGLER_ADMIN_TOKEN: TOKEN,
    REDIS_URL: redis.url,
  }
  const ports: number[] = []
  for (let index = 0; index < size; index++) {
    const state = index === 0 ? '.strangler' : `state-${index}`
    const args = [
      STRANGLER,
      'serve',
      '--port=0',
      '--admin-port=0',
      '--state-dir',
      state,
      '--access-log',
      `access-${index}`,
    ]
    const child = spawn(process.execPath, args, { cwd: folder, env })
    children.push(child)
    const log = textOf(child.stderr)
    const port = () => Number(/"what":"admin",[^\n]*"port":(\d+)/.exec(log())?.[1] ?? 0)
    await until(() => child.exitCode !== null || log().includes('"what":"gateway"'))
    if (child.exitCode !== null) throw new Error(log())
    ports.push(port())
  }
  const asking = { ...env, STRANGLER_URL: `http://127.0.0.1:${ports[0]}`, STRANGLER_TOKEN: TOKEN }

  async function run(script: string): Promise<string> {
    const command = `strangler() { "${process.execPath}" "${STRANGLER}" "$@"; }\n${script}`
    return withDocumentPorts(await output('bash', ['-euo', 'pipefail', '-c', command], folder, asking))
  }

  /** Replaces the ports of the test with those of the document. */
  function withDocumentPorts(printed: string): string {
    let text = printed.replaceAll(`127.0.0.1:${redis.port}`, '127.0.0.1:6379')
    for (const [index, port] of ports.entries())
      text = text.replaceAll(`127.0.0.1:${port}`, `127.0.0.1:${8081 + index}`)
    return text
  }

  return {
    run,
    /** Runs the commands of a section, and compares their output with the output that the document shows. */
    runs: async (title: string, then: (command: string) => Promise<void> = async () => {}) => {
      const blocks = fences(section(RUNBOOK, title))
      for (const [index, { language, code }] of blocks.entries()) {
        if (language !== 'sh') continue
        // A gateway that the machine stops for seconds counts as silent until its next heartbeat.
        if (code.trim() === 'strangler fleet')
          await until(async () => !(await run('strangler fleet || true')).includes('silent'))
        const printed = await run(code)
        await then(code)
        const next = blocks[index + 1]
        if (next?.language === 'text' && !/^(kubectl|systemctl)/.test(next.code)) {
          expect(rows(printed), code).toEqual(rows(next.code))
        }
      }
    },
    until: (isTrue: (readiness: Readiness, gateway: number) => boolean) =>
      until(async () => {
        const responses = ports.map(async (port) => (await fetch(`http://127.0.0.1:${port}/readyz`)).json())
        return (await Promise.all(responses)).every((body, index) => isTrue(body as Readiness, index))
      }),
  }
}

/** Lines without generated names, ages and times of day; the lines of a fleet are sorted. */
function rows(text: string): string[] {
  const same = lines(text).map((line) =>
    line
      .replace(/^\S+-(?:[0-9a-f]{8}|\d) (?=http)/, 'gateway ')
      .replace(/ \d\d:\d\d /, ' HH:MM ')
      .replace(/[\d.N]+ (?:ms|s) old/, 'N old')
      .replace(/\b\d+ of \d+ (?=file)/, 'N of N '),
  )
  return same.some((line) => line.startsWith('gateway address')) ? same.sort() : same
}
