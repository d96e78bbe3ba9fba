// Responses of old servers: heads whose lines end in LF only, and an extra empty line after an interim response.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import supertest from 'supertest'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { UpstreamConfig } from '../../src/config/define-routes.ts'
import { strangler } from '../../src/express.ts'
import { flagFile, startGateway } from '../kit/gateway.ts'
import { startRawOrigin } from '../kit/origin.ts'
import { exchange } from '../kit/raw.ts'
import { startShadowed } from '../kit/shadowed.ts'
import { until } from '../kit/until.ts'

const BARE = 'HTTP/1.1 200 OK\nX-Old: cgi\nContent-Length: 2\n\nok'
const MIXED = 'HTTP/1.1 200 OK\r\nX-Old: cgi\nContent-Length: 2\r\n\r\nok'
const EXTRA_LINE = 'HTTP/1.1 103 Early Hints\r\n\r\n\r\nHTTP/1.1 200 OK\r\nX-Old: cgi\r\nContent-Length: 2\r\n\r\nok'
const HANDSHAKE = `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`
const get = (path: string, fields = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`

async function startBefore(response: string, more: Partial<UpstreamConfig> = {}) {
  const origin = await startRawOrigin(response)
  const upstream = { url: origin.url, ...more }
  const gateway = await startGateway({
    legacy: upstream,
    services: { live: upstream },
    contexts: { live: { owner: 'a', flag: 'f', service: 'live', routes: [{ path: '/live', upgrade: true }] } },
  })
  return { origin, gateway }
}

describe('a response head with bare line feeds', () => {
  it.each([BARE, MIXED])('is answered with 502 response-malformed by default: %j', async (response) => {
    const { gateway } = await startBefore(response)
    const { status, body } = await exchange(gateway.port, get('/'))
    expect(status).toBe(502)
    expect(body).not.toContain('cgi')
    expect(await gateway.accessLine(({ status }) => status === 502)).toMatchObject({ failure: 'response-malformed' })
  })

  it.each([BARE, MIXED])('is forwarded with CRLF if the upstream has `bareLineFeeds: true`: %j', async (response) => {
    const { gateway } = await startBefore(response, { bareLineFeeds: true })
    for (let i = 0; i < 2; i++) {
      const { status, head, body } = await exchange(gateway.port, get('/'))
      expect([status, body]).toEqual([200, 'ok'])
      expect(head).toContain('\r\nX-Old: cgi\r\n')
      expect(head).not.toMatch(/[^\r]\n/)
    }
  })

  it.each([BARE, MIXED])(
    'fails an upgrade, a shadow copy, a health check and a request inside Express, whose parsers are always strict: %j',
    async (response) => {
      const health = { path: '/health', intervalMs: 50, unhealthyAfter: 1 }
      const { gateway } = await startBefore(response, { bareLineFeeds: true })
      expect((await exchange(gateway.port, get('/live', HANDSHAKE))).status).toBe(502)
      const checked = await startBefore(response, { bareLineFeeds: true, health })
      await until(async () => {
        const { upstreams } = (await checked.gateway.readyz()).body as { upstreams: { available: number }[] }
        return upstreams.every(({ available }) => available === 0)
      })
      expect(await endingsOfCopy(response)).toEqual({ 'failed(response-malformed)': 1 })
      expect(await askInExpress(response)).toEqual([502, false])
    },
  )
})

describe('an extra empty line after an interim response', () => {
  it('is accepted for a request, an upgrade, a shadow copy and inside Express', async () => {
    const { gateway } = await startBefore(EXTRA_LINE)
    const plain = await exchange(gateway.port, get('/', 'Connection: close\r\n'))
    expect(plain.head + plain.body).toMatch(/^HTTP\/1\.1 103 Early Hints\r\n/)
    expect(await exchange(gateway.port, get('/live', HANDSHAKE))).toMatchObject({ status: 200, body: 'ok' })
    expect(await askInExpress(EXTRA_LINE)).toEqual([200, true])
    // The comparison is complete, so the copy has its response.
    expect(Object.keys(await endingsOfCopy(EXTRA_LINE)).join()).not.toMatch(/failed/)
  })
})

/** The ending of the shadow copy of one request that gets this response. */
async function endingsOfCopy(response: string) {
  const origin = await startRawOrigin(response)
  const { gateway, settled, endings } = await startShadowed({
    map: { services: { catalog: { url: origin.url, bareLineFeeds: true } } },
  })
  await exchange(gateway.port, get('/products'))
  await settled(1)
  return endings()
}

/** @returns the status, and whether the body is the service's */
async function askInExpress(response: string) {
  const origin = await startRawOrigin(response)
  const folder = await mkdtemp(join(tmpdir(), 'strangler-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'flags.json'), flagFile({ f: 100 }))
  const gate = strangler(
    {
      services: { live: { url: origin.url, bareLineFeeds: true } },
      contexts: { live: { owner: 'a', flag: 'f', service: 'live', routes: ['/live'], fallback: false } },
    },
    { flags: join(folder, 'flags.json'), stateDir: folder, logLevel: 'silent' },
  )
  onTestFinished(() => gate.close())
  await gate.ready
  const answer = await supertest(express().use(gate)).get('/live')
  return [answer.status, answer.text === 'ok']
}
