// A flag with stickiness sessionId: people are split by their session, also when they are signed in.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { normalizedStrategyValue } from 'unleash-client/lib/strategy/util.js'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { startNamedOrigin } from '../kit/origin.ts'
import { runStrangler } from '../kit/process.ts'

const FLAG = 'migrate-catalog'

function flagsFile(stickiness: string): string {
  const parameters = { rollout: '50', stickiness, groupId: FLAG }
  const strategies = [{ name: 'flexibleRollout', parameters }]
  return JSON.stringify({ version: 2, features: [{ name: FLAG, enabled: true, strategies }] })
}

function shopOf(legacy: string, catalog: string) {
  return {
    legacy: { url: legacy },
    services: { catalog: { url: catalog } },
    contexts: { catalog: { owner: 'team', service: 'catalog', flag: FLAG, routes: ['GET /products'] } },
    identity: { user: { header: 'x-user-id', trust: ['loopback'] }, session: { cookie: 'sid' } },
  }
}

async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-session-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

describe('a flag with stickiness sessionId', () => {
  it('splits signed-in users by their session', async () => {
    const [legacy, catalog] = [await startNamedOrigin('legacy'), await startNamedOrigin('catalog')]
    const folder = await folderWith({ 'flags.json': flagsFile('sessionId') })
    const gateway = await startGateway(shopOf(legacy.url, catalog.url), { flags: join(folder, 'flags.json') })
    for (let number = 0; number < 20; number++) {
      const session = `s-${number}`
      const headers = { 'x-user-id': 'always-the-same', cookie: `sid=${session}` }
      const answer = await fetch(`http://127.0.0.1:${gateway.port}/products`, { headers })
      const isOn = normalizedStrategyValue(session, FLAG) <= 50
      expect(await answer.json(), session).toMatchObject({ side: isOn ? 'catalog' : 'legacy' })
    }
  })

  it('is explained with both a user and a session', async () => {
    const map = JSON.stringify(shopOf('http://127.0.0.1:3000', 'http://127.0.0.1:3001'))
    const cwd = await folderWith({ 'map.json': map, 'flags.json': flagsFile('sessionId') })
    const args = ['explain', 'GET', '/products', '--user', '7', '--session', 's-1', '--config', 'map.json']
    const { stdout } = await runStrangler(args, { cwd })
    expect(stdout).toMatch(/^ {2}identity +user 7\n {2}session +s-1\n/m)
    expect(stdout).toContain(`murmur3 of "${FLAG}:s-1"`)
    expect(stdout).not.toContain('warning')
  })
})

describe('explain', () => {
  it('warns when a hashed id has characters outside ASCII', async () => {
    const map = JSON.stringify(shopOf('http://127.0.0.1:3000', 'http://127.0.0.1:3001'))
    const cwd = await folderWith({ 'map.json': map, 'flags.json': flagsFile('default') })
    const { stdout } = await runStrangler(['explain', 'GET', '/products', '--user', 'Zoë', '--config', 'map.json'], {
      cwd,
    })
    expect(stdout).toMatch(
      /^ {2}warning +"migrate-catalog:Zoë" has characters outside ASCII: an Unleash SDK of another/m,
    )
  })
})
