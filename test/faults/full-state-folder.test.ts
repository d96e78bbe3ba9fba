// The disk of the state folder is full: the test mounts a file system of 1 MiB, fills it and empties it.
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { startNamedOrigin } from '../kit/origin.ts'
import { runStrangler } from '../kit/process.ts'
import { startRedis } from '../kit/redis.ts'
import { shop } from '../kit/shop.ts'
import { until } from '../kit/until.ts'

const TOKEN = 'a-token-of-the-full-disk-tests'

it('a full state folder appears in /readyz, the metrics and status until a write succeeds', async () => {
  const disk = await mountSmallDisk()
  const gateway = await startShop({ stateDir: disk.folder })
  expect(await gateway.metric('strangler_state_folder_writable')).toBe(1)

  await disk.fill()
  const startedAt = Date.now()
  expect((await pin(gateway)).status).toBe(503)

  const { status, body } = await gateway.readyz()
  expect({ status, folder: body.stateFolder }).toEqual({
    status: 200,
    folder: { writable: false, code: 'ENOSPC', since: expect.any(Number) },
  })
  expect((body.stateFolder as { since: number }).since).toBeGreaterThanOrEqual(startedAt)
  expect(await gateway.metric('strangler_state_folder_writable')).toBe(0)
  expect(await statusOf(gateway)).toMatch(/^folder +\S+ cannot be written since .*: ENOSPC: no space left on device/m)
  expect((await sendRequest({ port: gateway.port })).status).toBe(200)

  await disk.empty()
  await until(async () => (await gateway.metric('strangler_state_folder_writable')) === 1)
  expect((await gateway.readyz()).body.stateFolder).toEqual({ writable: true, code: null, since: null })
  expect(await statusOf(gateway)).not.toContain('cannot be written')
  await until(async () => (await pin(gateway)).status === 200)
})

it('a full state folder of a gateway with Redis appears too, and its copy of the state is written when there is space', async () => {
  const redis = await startRedis()
  const disk = await mountSmallDisk()
  const gateway = await startShop({ stateDir: disk.folder, redis: { url: redis.url, prefix: 'full-disk' } })
  await disk.fill()
  expect((await pin(gateway)).status).toBe(200)
  await until(async () => (await gateway.metric('strangler_state_folder_writable')) === 0)
  expect((await gateway.readyz()).body).toMatchObject({
    store: { connected: true },
    stateFolder: { writable: false, code: 'ENOSPC' },
  })

  await disk.empty()
  await until(async () => (await gateway.metric('strangler_state_folder_writable')) === 1)
  await until(async () => (await readFile(join(disk.folder, 'last-state.json'), 'utf8')).includes('"side":"legacy"'))
})

async function startShop(options: Parameters<typeof startGateway>[1]): Promise<TestGateway> {
  const legacy = await startNamedOrigin('legacy')
  const service = await startNamedOrigin('service')
  return startGateway(shop({ legacy: legacy.url, service: service.url }), {
    percentages: { 'migrate-catalog': 10 },
    adminToken: TOKEN,
    ...options,
  })
}

async function pin({ adminPort }: TestGateway): Promise<Response> {
  return fetch(`http://127.0.0.1:${adminPort}/api/v1/contexts/catalog/pin`, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ side: 'legacy', noEnd: true, reason: 'the disk is full' }),
  })
}

async function statusOf({ adminPort }: TestGateway): Promise<string> {
  const { stdout } = await runStrangler(['status', '--url', `http://127.0.0.1:${adminPort}`, '--token', TOKEN])
  return stdout
}

type SmallDisk = {
  readonly folder: string
  readonly fill: () => Promise<void>
  readonly empty: () => Promise<void>
}

/** A tmpfs; mounting needs root, or `sudo` without a password. */
async function mountSmallDisk(): Promise<SmallDisk> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-disk-'))
  asRoot('mount', '-t', 'tmpfs', '-o', `size=1m,mode=0700,uid=${process.getuid?.()}`, 'tmpfs', folder)
  onTestFinished(async () => {
    asRoot('umount', '--lazy', folder)
    await rm(folder, { recursive: true, force: true })
  })
  const filler = join(folder, 'filler')
  return {
    folder,
    fill: () => writeFile(filler, Buffer.alloc(2 * 1024 * 1024)).catch(() => {}),
    empty: () => rm(filler),
  }
}

function asRoot(...command: readonly [string, ...string[]]): void {
  const [program, ...args] = process.getuid?.() === 0 ? command : (['sudo', '-n', ...command] as const)
  execFileSync(program, args, { stdio: 'pipe' })
}
