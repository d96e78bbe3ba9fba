// Requests of every shape of clients and maps: each is answered as without shadowing, and its copy is the same request.
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { whenOver } from '../kit/lifetime.ts'
import { sendRequest } from '../kit/load.ts'
import { connectRaw } from '../kit/raw.ts'
import { eligibleIn, type RecordedRequest, readEndings, respondEqually, startShadowed } from '../kit/shadowed.ts'
import { until } from '../kit/until.ts'

// The comparing thread has the lowest priority: on a busy machine it starts late.
vi.setConfig({ testTimeout: 60_000 })

/** Accepts dry runs, and returns the request that it received. */
const agrees: http.RequestListener = (request, response) => {
  if (request.headers['x-shadow'] !== undefined) response.setHeader('X-Shadow-Accepted', 'dry-run')
  if (request.url === '/.well-known/shadow') response.writeHead(204).end()
  else respondEqually(request, response)
}
const SAME = { legacy: respondEqually, service: respondEqually }
const DRY_RUN = { shadow: { writes: 'dry-run' as const }, legacy: respondEqually, service: agrees }
const withoutHandshakes = (seen: readonly RecordedRequest[]) => seen.filter(({ url }) => url !== '/.well-known/shadow')

/** Sends bytes on a new connection, and waits for a text in the response. */
async function say(port: number, text: string, isDone: (received: string) => boolean) {
  const client = await connectRaw(port)
  client.send(text)
  await until(() => isDone(client.received()))
  client.destroy()
  return client.received()
}

describe('the copy of a request', () => {
  test('has a Host field although the HTTP/1.0 client sent none', async () => {
    const { gateway, service, settled, endings } = await startShadowed(SAME)
    const answer = await say(gateway.port, 'GET /products/1 HTTP/1.0\r\n\r\n', (text) => text.includes('12.5'))
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    await settled(1)
    expect(await endings()).toEqual({ matched: 1 })
    expect(service.copies()).toHaveLength(1)
  })

  test('is sent once for each of twenty requests in one packet', async () => {
    const { gateway, service, settled, endings } = await startShadowed(SAME)
    const paths = Array.from({ length: 20 }, (_, i) => `/products/${i}`)
    const requests = paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join('')
    await say(gateway.port, requests, (text) => text.split('12.5').length === 21)
    await settled(20)
    expect(await endings()).toEqual({ matched: 20 })
    expect(
      service
        .copies()
        .map(({ url }) => url)
        .sort(),
    ).toEqual(paths.sort())
  })

  test('is sent for a client that waits for 100 Continue', async () => {
    const { gateway, service, settled, endings } = await startShadowed(DRY_RUN)
    const client = await connectRaw(gateway.port)
    const fields = 'Content-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue'
    client.send(`POST /products/1 HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n`)
    await until(() => client.received().includes('100 Continue'))
    client.send('hello')
    await until(() => client.received().includes('12.5'))
    client.destroy()
    await settled(1)
    expect(await endings()).toEqual({ matched: 1 })
    expect(withoutHandshakes(service.copies())).toMatchObject([{ method: 'POST', body: 'hello' }])
    expect(withoutHandshakes(service.copies())[0]?.headers).not.toHaveProperty('expect')
  })

  test('has no mark from the trailers of the client', async () => {
    const { gateway, legacy, service, settled, endings } = await startShadowed(DRY_RUN)
    const fields = 'Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\nTrailer: X-Shadow, X-Sum'
    const body = '3\r\nabc\r\n2\r\nde\r\n0\r\nX-Shadow: dry-run\r\nX-Sum: 7\r\n\r\n'
    await say(gateway.port, `POST /products/1 HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n${body}`, (text) =>
      text.includes('12.5'),
    )
    await settled(1)
    expect(await endings()).toEqual({ matched: 1 })
    expect(legacy.real()).toMatchObject([{ body: 'abcde' }])
    const [copy] = withoutHandshakes(service.copies())
    expect(copy).toMatchObject({ body: 'abcde', headers: { 'content-length': '5', 'x-shadow': 'dry-run' } })
  })

  test('has as many fields as the gateway accepts', async () => {
    const { gateway, service, settled, endings } = await startShadowed(SAME)
    const headers = Object.fromEntries(Array.from({ length: 80 }, (_, i) => [`X-Field-${i}`, 'v'.repeat(100)]))
    expect((await sendRequest({ port: gateway.port, path: '/products/1', headers })).status).toBe(200)
    await settled(1)
    expect(await endings()).toEqual({ matched: 1 })
    expect(service.copies()[0]?.headers).toMatchObject({ 'x-field-0': 'v'.repeat(100), 'x-field-79': 'v'.repeat(100) })
  })

  test('has only the mark of the gateway, however the client writes one', async () => {
    const { gateway, legacy, settled } = await startShadowed(SAME)
    const fields = ['X_Shadow: 1', 'x-shadow-accepted: dry-run', 'X-SHADOW-Anything: 1', 'Connection: X-Shadow']
    await say(gateway.port, `GET /products/1 HTTP/1.1\r\nHost: a\r\n${fields.join('\r\n')}\r\n\r\n`, (text) =>
      text.includes('12.5'),
    )
    await settled(1)
    expect(Object.keys(legacy.real()[0]?.headers ?? {}).filter((name) => /shadow/i.test(name))).toEqual([])
  })

  test('is sent for OPTIONS and HEAD', async () => {
    const { gateway, service, settled, endings } = await startShadowed(SAME)
    for (const method of ['OPTIONS', 'HEAD']) await sendRequest({ port: gateway.port, path: '/products/1', method })
    await settled(2)
    expect(await endings()).toEqual({ matched: 2 })
    expect(
      service
        .copies()
        .map(({ method }) => method)
        .sort(),
    ).toEqual(['HEAD', 'OPTIONS'])
  })

  test('has the anonymous id that the client gets', async () => {
    const { gateway, legacy, service, settled } = await startShadowed(SAME)
    const { headers } = await sendRequest({ port: gateway.port, path: '/products/1' })
    expect(String(headers['set-cookie'])).toContain('strangler')
    await settled(1)
    expect(service.copies()[0]?.headers.cookie).toBe(legacy.real()[0]?.headers.cookie)
    const hops = ['x-forwarded-for', 'x-forwarded-proto', 'forwarded', 'via', 'x-forwarded-host']
    for (const name of hops) expect(service.copies()[0]?.headers[name]).toBe(legacy.real()[0]?.headers[name])
  })
})

describe('shadowing', () => {
  test('leaves a user field out of copies with strip', async () => {
    const { gateway, legacy, service, settled } = await startShadowed({
      ...SAME,
      shadow: { identities: 'strip' },
      map: { identity: { user: { header: 'X-Shop-User', trust: ['127.0.0.1'] } } },
    })
    const headers = { 'X-Shop-User': 'anna', 'X-Api-Key': 'k', Cookie: 'sid=1' }
    await sendRequest({ port: gateway.port, path: '/products/1', headers })
    await settled(1)
    expect(legacy.real()[0]?.headers).toMatchObject({ 'x-shop-user': 'anna', 'x-api-key': 'k', cookie: 'sid=1' })
    for (const name of ['x-shop-user', 'x-api-key', 'cookie'])
      expect(service.copies()[0]?.headers).not.toHaveProperty(name)
  })

  test('copies to a service at an IPv6 address', async () => {
    const server = http.createServer(respondEqually)
    await new Promise<void>((resolve) => server.listen(0, '::1', resolve))
    whenOver(() => void server.close())
    const { port } = server.address() as AddressInfo
    const shadowed = await startShadowed({ legacy: respondEqually, serviceUrl: `http://[::1]:${port}` })
    await sendRequest({ port: shadowed.gateway.port, path: '/products/1' })
    await shadowed.settled(1)
    expect(await shadowed.endings()).toEqual({ matched: 1 })
  })

  test('compares nothing after a fallback', async () => {
    const { gateway, legacy, settled, endings } = await startShadowed({
      legacy: respondEqually,
      service: (_, response) => void response.destroy(),
      // The fallback is on by default.
      percentages: { 'migrate-catalog': 100 },
    })
    await sendRequest({ port: gateway.port, path: '/products/1' })
    await settled(1)
    expect(await endings()).toEqual({ 'failed(primary)': 1 })
    expect(legacy.copies()).toEqual([])
  })
})

test('each request ends once while config edits remove the service', async () => {
  const legacy = http.createServer(respondEqually)
  const service = http.createServer((request, response) => setTimeout(() => respondEqually(request, response), 20))
  for (const server of [legacy, service]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    whenOver(() => void server.close())
  }
  const urlOf = (server: http.Server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const mapOf = (edit: number) => ({
    legacy: { url: urlOf(legacy) },
    shadowing: { lagMs: 60_000, cpuShare: 1 },
    // The config with a moved service, with other settings, and without the service.
    services: edit % 3 === 2 ? {} : { catalog: { url: urlOf(service), connections: 10 + edit } },
    contexts:
      edit % 3 === 2
        ? {}
        : {
            catalog: {
              ...{ owner: 'a', service: 'catalog', flag: 'migrate-catalog', routes: ['/products/:id'] },
              shadow: { sample: 1, timeoutMs: 5000 + edit },
            },
          },
  })
  const gateway = await startGateway(mapOf(0), { percentages: { 'migrate-catalog': 0 } })
  let isOver = false
  let requests = 0
  const statuses = new Set<number>()
  const load = (async () => {
    while (!isOver) {
      const responses = [1, 2, 3].map((i) => sendRequest({ port: gateway.port, path: `/products/${i}` }))
      for (const { status } of await Promise.all(responses)) statuses.add(status)
      requests += 3
    }
  })()
  const editions = async () => ((await gateway.readyz()).body as { edition: number }).edition
  for (let edit = 1; edit <= 9; edit++) {
    const editionsBefore = await editions()
    await gateway.writeConfig(mapOf(edit))
    await until(async () => (await editions()) > editionsBefore)
    const since = requests
    await until(() => requests > since + 10)
  }
  isOver = true
  await load
  expect([...statuses]).toEqual([200])
  await until(async () => {
    const text = await gateway.metrics()
    const ended = Object.values(readEndings(text)).reduce((sum, count) => sum + count, 0)
    return ended === eligibleIn(text)
  }, 30_000)
  const endings = readEndings(await gateway.metrics())
  expect(Object.keys(endings).filter((ending) => ending.includes('internal'))).toEqual([])
  expect(endings.matched).toBeGreaterThan(20)
  expect(await gateway.metric('strangler_bugs_total')).toBe(0)
  expect(await gateway.metric('strangler_shadow_captured_bytes')).toBe(0)
})
