// TLS to an upstream is verified against the authority and the name in the config, whatever the client requests.
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import type { TlsConfig } from '../../src/config/define-routes.ts'
import { type Authority, type Certificate, createAuthority } from '../kit/certificates.ts'
import { startGateway } from '../kit/gateway.ts'
import { sharedByFile, whenOver } from '../kit/lifetime.ts'
import { connectRaw, exchange } from '../kit/raw.ts'
import { until } from '../kit/until.ts'

const authority: () => Authority = sharedByFile(createAuthority)

async function startTlsOrigin(certificate: Certificate, options: https.ServerOptions = {}) {
  const seen: { serverName: string | false | null; client: string | undefined; host: string | undefined }[] = []
  let connections = 0
  const note = (request: IncomingMessage) => {
    const socket = request.socket as TLSSocket & { servername?: string | false }
    seen.push({
      serverName: socket.servername ?? null,
      client: socket.getPeerCertificate().subject?.CN as string | undefined,
      host: request.headers.host,
    })
  }
  const server = https.createServer({ ...certificate, ...options }, (request, response) => {
    note(request)
    request.resume()
    request.on('end', () => response.end('over TLS'))
  })
  const webSockets = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, early) => {
    note(request)
    webSockets.handleUpgrade(request, socket, early, (webSocket) => webSocket.send('over TLS'))
  })
  server.on('secureConnection', () => connections++)
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  whenOver(() => {
    for (const client of webSockets.clients) client.terminate()
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { port, url: `https://127.0.0.1:${port}`, seen, connections: () => connections }
}

/** The three ways to forward a request. */
const LANES = {
  'a plain request': 'GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n',
  'a request that expects 100-continue':
    'POST / HTTP/1.1\r\nHost: shop.example\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi',
  'an upgrade':
    'GET /live HTTP/1.1\r\nHost: shop.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
} as const

async function ask(port: number, bytes: string) {
  const client = await connectRaw(port)
  client.send(bytes)
  const text = await client.receives(/over TLS|"requestId"/)
  client.destroy()
  return text
}

describe.each(Object.entries(LANES))('%s', (_lane, bytes) => {
  it('reaches an upstream with a certificate of the configured authority', async () => {
    const origin = await startTlsOrigin(await authority().sign('IP:127.0.0.1'))
    const { port } = await startGateway({ legacy: { url: origin.url, tls: { ca: authority().cert } } })
    expect(await ask(port, bytes)).toContain('over TLS')
    expect(origin.seen).toEqual([{ serverName: false, client: undefined, host: 'shop.example' }])
  })

  it('requests and verifies the name in the config, not the Host of the client', async () => {
    const origin = await startTlsOrigin(await authority().sign('DNS:orders.test'))
    const right = await startGateway({
      legacy: { url: origin.url, tls: { ca: authority().cert, servername: 'orders.test' } },
    })
    expect(await ask(right.port, bytes)).toContain('over TLS')
    expect(origin.seen).toEqual([{ serverName: 'orders.test', client: undefined, host: 'shop.example' }])
    const wrong = await startGateway({
      legacy: { url: origin.url, tls: { ca: authority().cert, servername: 'other.test' } },
    })
    expect(await ask(wrong.port, bytes)).toMatch(/^HTTP\/1\.1 502 /)
  })

  it('never accepts a certificate because of the client’s Host', async () => {
    const origin = await startTlsOrigin(await authority().sign('DNS:shop.example'))
    const { port } = await startGateway({ legacy: { url: origin.url, tls: { ca: authority().cert } } })
    expect(await ask(port, bytes)).toMatch(/^HTTP\/1\.1 502 /)
    expect(origin.seen).toEqual([])
  })

  it('verifies the host of the address if the config has no name', async () => {
    const origin = await startTlsOrigin(await authority().sign('DNS:localhost'))
    const { port } = await startGateway({
      legacy: { url: `https://localhost:${origin.port}`, tls: { ca: authority().cert } },
    })
    expect(await ask(port, bytes)).toContain('over TLS')
    expect(origin.seen[0]).toMatchObject({ serverName: 'localhost' })
  })

  it.each([
    ['no tls in the config', undefined],
    ['another authority', 'other'],
  ] as const)('is 502 with %s, is sent nothing, and says nothing of the inside', async (_what, kind) => {
    const origin = await startTlsOrigin(await authority().sign('IP:127.0.0.1'))
    const tls: TlsConfig | undefined = kind && { ca: (await createAuthority()).cert }
    const gateway = await startGateway({ legacy: { url: origin.url, tls } })
    const text = await ask(gateway.port, bytes)
    expect(text).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n.*application\/problem\+json/s)
    expect(text).not.toMatch(/certificate|issuer|self.signed|127\.0\.0\.1|TLS_|UNABLE/i)
    expect(origin.seen).toEqual([])
    expect(await gateway.accessLine(() => true)).toMatchObject({ status: 502, failure: 'connect-refused' })
  })

  it('presents the client certificate to an upstream that requests one', async () => {
    const origin = await startTlsOrigin(await authority().sign('IP:127.0.0.1'), {
      ca: authority().cert,
      requestCert: true,
      rejectUnauthorized: true,
    })
    const { cert, key } = await authority().sign('DNS:gateway.test')
    const gateway = await startGateway({ legacy: { url: origin.url, tls: { ca: authority().cert, cert, key } } })
    expect(await ask(gateway.port, bytes)).toContain('over TLS')
    expect(origin.seen).toMatchObject([{ client: 'signed' }])
    const unknown = await startGateway({ legacy: { url: origin.url, tls: { ca: authority().cert } } })
    expect(await ask(unknown.port, bytes)).toMatch(/^HTTP\/1\.1 502 /)
    expect(origin.seen).toHaveLength(1)
  })

  it('reaches an unverified upstream only if the config disables verification', async () => {
    const origin = await startTlsOrigin(await authority().sign('DNS:other.test'))
    const { port } = await startGateway({ legacy: { url: origin.url, tls: { rejectUnauthorized: false } } })
    expect(await ask(port, bytes)).toContain('over TLS')
  })
})

describe('connections over TLS', () => {
  it('are reused for requests with different Hosts', async () => {
    const origin = await startTlsOrigin(await authority().sign('IP:127.0.0.1'))
    const { port } = await startGateway({ legacy: { url: origin.url, tls: { ca: authority().cert } } })
    for (let i = 0; i < 5; i++) {
      const answer = await exchange(port, `GET / HTTP/1.1\r\nHost: shop-${i}.example\r\n\r\n`)
      expect(answer).toMatchObject({ status: 200, body: 'over TLS' })
    }
    expect(origin.connections()).toBe(1)
  })

  it('are kept by a reload after an upgrade', async () => {
    const origin = await startTlsOrigin(await authority().sign('IP:127.0.0.1'))
    const config = { legacy: { url: origin.url, tls: { ca: authority().cert } } }
    const gateway = await startGateway(config)
    await exchange(gateway.port, LANES['a plain request'])
    expect(await ask(gateway.port, LANES['an upgrade'])).toContain('over TLS')
    await gateway.writeConfig({ ...config, limits: { headerCount: 99 } })
    await until(async () => (await gateway.metric('strangler_config_edition')) === 2)
    await exchange(gateway.port, LANES['a plain request'])
    expect(origin.connections()).toBe(2)
  })

  it('that the upstream closes in the middle of a response cause a truncated response', async () => {
    const { cert, key } = await authority().sign('IP:127.0.0.1')
    const server = https.createServer({ cert, key }, (_request, response) => {
      response.writeHead(200, { 'Content-Length': 100 })
      response.write('half', () => response.socket?.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    whenOver(() => void server.close())
    const gateway = await startGateway({
      legacy: { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, tls: { ca: authority().cert } },
    })
    const client = await connectRaw(gateway.port)
    client.send(LANES['a plain request'])
    expect(await client.closes()).toMatch(/\r\n\r\nhalf$/)
    expect(await gateway.accessLine(() => true)).toMatchObject({ failure: 'response-broken' })
  })
})
