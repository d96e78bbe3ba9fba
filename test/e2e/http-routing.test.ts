// Routing by host, several upstream addresses, and limits of the request body.
import { describe, expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { startHttpOrigin, startNamedOrigin, startRawOrigin } from '../kit/origin.ts'
import { connectRaw, exchange } from '../kit/raw.ts'
import { until } from '../kit/until.ts'

function contextOf(routes: readonly unknown[]) {
  return { shop: { owner: 'team-shop', service: 'shop', flag: 'migrate-shop', routes: routes as never } }
}

describe('the Host of an upstream request', () => {
  it.each([
    ['preserve', 'preserve'],
    ['upstream', 'upstream'],
    [undefined, 'preserve'],
  ] as const)(
    'with the policy %s is the Host of %s, and X-Forwarded-Host is always the client’s',
    async (host, expected) => {
      const origin = await startRawOrigin()
      const { port } = await startGateway({ legacy: { url: origin.url, host } })
      await exchange(port, 'GET / HTTP/1.1\r\nHost: Shop.Example:8080\r\n\r\n')
      const [head = ''] = origin.heads()
      expect(head).toMatch(
        expected === 'preserve'
          ? /\r\nhost: shop\.example:8080\r\n/i
          : new RegExp(`\r\nhost: ${origin.url.slice(7)}\r\n`, 'i'),
      )
      expect(head.match(/\r\nhost:/gi)).toHaveLength(1)
      expect(head).toMatch(/\r\nX-Forwarded-Host: shop\.example:8080\r\n/i)
    },
  )
})

describe('a route with a host', () => {
  it('matches only that host, whatever its case and port, and a wildcard matches subdomains', async () => {
    const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
    const { port } = await startGateway(
      {
        legacy: { url: legacy.url },
        services: { shop: { url: service.url } },
        contexts: contextOf([
          { path: '/cart', host: 'shop.example' },
          { path: '/tenant', host: '*.shop.example' },
        ]),
      },
      { percentages: { 'migrate-shop': 100 } },
    )
    const sideOf = async (host: string, path: string) => {
      const { body } = await exchange(port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nCookie: a=b\r\n\r\n`)
      return (JSON.parse(body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1)) as { side: string }).side
    }
    expect(await sideOf('shop.example', '/cart')).toBe('service')
    expect(await sideOf('SHOP.example:8443', '/cart')).toBe('service')
    expect(await sideOf('other.example', '/cart')).toBe('legacy')
    for (const host of ['evilshop.example', 'shop.example.evil', 'a.shop.example']) {
      expect(await sideOf(host, '/cart')).toBe('legacy')
    }
    expect(await sideOf('a.shop.example', '/tenant')).toBe('service')
    expect(await sideOf('shop.example', '/tenant')).toBe('legacy')
    expect(await sideOf('a.shop.example.evil', '/tenant')).toBe('legacy')
  })
})

describe('a body that is larger than its route allows', () => {
  async function startPair() {
    let aborted = 0
    let received = 0
    const origin = await startHttpOrigin((request, response) => {
      request.on('data', (chunk: Buffer) => {
        received += chunk.length
      })
      request.on('close', () => {
        if (!request.complete) aborted++
      })
      request.on('end', () => response.end('ok'))
    })
    const gateway = await startGateway(
      {
        legacy: { url: origin.url },
        services: { shop: { url: origin.url } },
        contexts: contextOf([
          { path: '/small', maxBodyBytes: 1000 },
          { path: '/any', maxBodyBytes: 0 },
        ]),
        limits: { bodyBytes: 50_000 },
      },
      { percentages: { 'migrate-shop': 100 } },
    )
    return { origin, gateway, port: gateway.port, aborted: () => aborted, received: () => received }
  }

  it('with its length is refused before it is forwarded', async () => {
    const { origin, gateway, port } = await startPair()
    const answer = await exchange(port, 'POST /small HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n')
    expect(answer).toMatchObject({ status: 413, isClosed: true })
    expect(answer.head).toMatch(/problem\+json/)
    expect(origin.requests()).toBe(0)
    expect(await gateway.accessLine(({ status }) => status === 413)).toMatchObject({ failure: 'body-too-large' })
  })

  it('in chunks is refused when it exceeds the limit, and the upstream request is aborted', async () => {
    const { origin, port, aborted, received } = await startPair()
    const client = await connectRaw(port)
    client.send(`POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1f4\r\n${'x'.repeat(500)}\r\n`)
    await until(() => received() === 500)
    client.send(`1f5\r\n${'x'.repeat(501)}\r\n0\r\n\r\n`)
    expect(await client.closes()).toMatch(/^HTTP\/1\.1 413 .*\r\nConnection: close\r\n/s)
    await until(() => aborted() === 1)
    expect(origin.requests()).toBe(1)
    expect(received()).toBeLessThanOrEqual(1000)
  })

  it('does not include a body of exactly the allowed size; limits.bodyBytes is the limit of all routes', async () => {
    const { port } = await startPair()
    const post = (path: string, bytes: number) =>
      exchange(port, `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n${'x'.repeat(bytes)}`)
    expect(await post('/small', 1000)).toMatchObject({ status: 200 })
    expect(await post('/other', 50_000)).toMatchObject({ status: 200 })
    expect(await post('/other', 50_001)).toMatchObject({ status: 413 })
    expect(await post('/any', 60_000)).toMatchObject({ status: 200 })
  })
})

describe('an upstream with several addresses', () => {
  it('gets requests in turns', async () => {
    const origins = [await startNamedOrigin('a'), await startNamedOrigin('b'), await startNamedOrigin('c')]
    const { port } = await startGateway({ legacy: { urls: origins.map(({ url }) => url) } })
    for (let i = 0; i < 30; i++) await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(origins.map((origin) => origin.requests())).toEqual([10, 10, 10])
  })

  it('gets a new request at the address with the fewest active requests', async () => {
    const slow = await startHttpOrigin(() => {})
    const quick = await startNamedOrigin('quick')
    const { port } = await startGateway({ legacy: { urls: [slow.url, quick.url] } })
    const stuck = []
    while (slow.requests() === 0) {
      const client = await connectRaw(port)
      client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      stuck.push(client)
      await until(() => slow.requests() > 0 || client.received() !== '')
    }
    for (let i = 0; i < 10; i++) {
      expect((await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).body).toContain('quick')
    }
    expect(slow.requests()).toBe(1)
    for (const client of stuck) client.destroy()
  })
})
