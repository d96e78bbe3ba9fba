// No address of an upstream reaches the client in Location, Content-Location or Set-Cookie.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import supertest from 'supertest'
import { expect, it, onTestFinished } from 'vitest'
import { strangler } from '../../src/express.ts'
import { flagFile, startGateway } from '../kit/gateway.ts'
import { startHttpOrigin, startRawOrigin } from '../kit/origin.ts'
import { exchange } from '../kit/raw.ts'

const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

async function startRedirecting() {
  const origin = await startRawOrigin((socket, seen) => {
    const [, host] = /\r\nHost: (.*)\r\n/i.exec(seen.toString('latin1')) ?? []
    const fields = `Location: http://${host}/v2/a/7?x=1\r\nContent-Location: /v2/a/8\r\nSet-Cookie: s=1; Domain=127.0.0.1; Path=/v2/a`
    socket.end(`HTTP/1.1 302 Found\r\n${fields}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`)
  })
  const routes = {
    services: { a: { url: origin.url, host: 'upstream' } },
    contexts: {
      a: { owner: 'a', service: 'a', flag: 'f', routes: [{ path: '/a/*', rewrite: '/v2/a/*' }] },
    },
  } as const
  return { origin, routes }
}

it('a redirect of a service with its own Host and a rewritten path is mapped back', async () => {
  const { origin, routes } = await startRedirecting()
  const live = { path: '/a/*', rewrite: '/v2/a/*', upgrade: true }
  const contexts = { a: { ...routes.contexts.a, routes: [live] } }
  const gateway = await startGateway({ ...routes, contexts, legacy: { url: origin.url } }, { percentages: { f: 100 } })
  for (const fields of ['', UPGRADE]) {
    const { head } = await exchange(gateway.port, `GET /a/1 HTTP/1.1\r\nHost: shop.example\r\n${fields}\r\n`)
    expect(head).toMatch(/\r\nlocation: http:\/\/shop\.example\/a\/7\?x=1\r\n/i)
    expect(head).toMatch(/\r\ncontent-location: \/a\/8\r\n/i)
    expect(head).toMatch(/\r\nset-cookie: s=1; path=\/a\r\n/i)
    expect(head).not.toContain(String(origin.port))
  }
})

it('a redirect of a service is mapped back inside Express', async () => {
  const { routes } = await startRedirecting()
  const folder = await mkdtemp(join(tmpdir(), 'strangler-map-back-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'flags.json'), flagFile({ f: 100 }))
  const gate = strangler(routes, { flags: join(folder, 'flags.json'), stateDir: folder, logLevel: 'silent' })
  await gate.ready
  onTestFinished(() => gate.close())
  const { headers } = await supertest(express().use(gate)).get('/a/1').set('Host', 'shop.example')
  expect(headers).toMatchObject({ location: 'http://shop.example/a/7?x=1', 'content-location': '/a/8' })
  expect(headers['set-cookie']).toContain('s=1; Path=/a')
})

it('an invalid X-Forwarded-Host of a trusted proxy never reaches a Location', async () => {
  const origin = await startHttpOrigin((_, response) => {
    response.writeHead(302, { location: `${origin.url}/login` }).end()
  })
  const gateway = await startGateway({ legacy: { url: origin.url, host: 'upstream' }, trustedProxies: ['127.0.0.1'] })
  const locationFor = async (forwardedHost: string) => {
    const head = `GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Host: ${forwardedHost}\r\n\r\n`
    return /\r\nlocation: ([^\r]*)\r\n/i.exec((await exchange(gateway.port, head)).head)?.[1]
  }
  expect(await locationFor('www.shop.example')).toBe('http://www.shop.example/login')
  for (const field of ['evil.example/x?', 'a"><b', 'a b', 'user@evil.example', ''])
    expect(await locationFor(field)).toBe('http://shop.example/login')
})
