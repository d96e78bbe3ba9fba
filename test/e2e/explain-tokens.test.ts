// `strangler explain` for a route that requires a token.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { flagFile } from '../kit/gateway.ts'
import { runStrangler } from '../kit/process.ts'
import { pemOf, rsaPair } from '../kit/tokens.ts'

async function explain(...args: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-explain-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const jwt = { issuer: 'https://login.test/', audience: 'shop', algorithms: ['RS256'], publicKey: pemOf(rsaPair()) }
  const orders = { owner: 'team', service: 'orders', flag: 'orders', auth: { jwt } }
  const config = {
    legacy: { url: 'http://127.0.0.1:3000' },
    services: { orders: { url: 'http://127.0.0.1:3001' } },
    contexts: { orders: { ...orders, routes: ['/orders', { path: '/maybe', auth: { jwt, optional: true } }] } },
  }
  await writeFile(join(folder, 'map.json'), JSON.stringify(config))
  await writeFile(join(folder, 'flags.json'), flagFile({ orders: 100 }))
  return runStrangler(['explain', 'GET', ...args, '--config', 'map.json'], { cwd: folder })
}

describe('explain of a route that requires a token', () => {
  it('shows that a request without a token is refused', async () => {
    const { code, stdout } = await explain('/orders', '--session', 'a')
    expect(code).toBe(1)
    expect(stdout).toContain('401 unauthenticated: the route requires a token of https://login.test/; add --user ID')
  })

  it('uses --user as the sub of a verified token, and prints this', async () => {
    const { code, stdout } = await explain('/orders', '--user', '7')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^ {2}identity +user 7\n +--user stands for a verified token of https:\/\/login\.test\//m)
    expect(stdout).not.toContain('no request has a user')
    expect(stdout).toContain('flag-on')
  })

  it('shows the decision without a token if the token is optional', async () => {
    const { code, stdout } = await explain('/maybe')
    expect(code).toBe(0)
    expect(stdout).toContain('the route accepts a token of https://login.test/ and does not require one')
  })
})
