// Shadowing must never write twice, show a secret, or let a client control it.
import type { RequestListener } from 'node:http'
import { describe, expect, test, vi } from 'vitest'
import { sendRequest } from '../kit/load.ts'
import { connectRaw } from '../kit/raw.ts'
import { type RecordedRequest, respondEqually, startShadowed } from '../kit/shadowed.ts'
import { until } from '../kit/until.ts'

// The comparing thread has the lowest priority: on a busy machine it starts late.
vi.setConfig({ testTimeout: 60_000 })

const METHODS = ['POST', 'PUT', 'PATCH', 'DELETE'] as const
const changing = (seen: readonly RecordedRequest[]) => seen.filter(({ method }) => METHODS.includes(method as 'POST'))

async function askEach(port: number): Promise<void> {
  for (const method of METHODS) {
    const body = `by ${method}`
    // Node's client frames the body of a DELETE only with a Content-Length.
    const headers = { 'Content-Type': 'text/plain', 'Content-Length': body.length }
    await sendRequest({ port, method, path: '/products/1', headers, body })
  }
}

/** A service that accepts dry runs in the handshake and in answers, each of which can change at any time. */
function agreeing(says: { handshake: boolean; answers: boolean }): RequestListener {
  return (request, response) => {
    const isHandshake = request.url === '/.well-known/shadow'
    if (isHandshake ? says.handshake : says.answers) response.setHeader('X-Shadow-Accepted', 'dry-run')
    if (isHandshake) response.writeHead(says.handshake ? 204 : 404).end()
    else respondEqually(request, response)
  }
}

describe('a write never happens twice', () => {
  test('by default writes are not copied and not eligible', async () => {
    const { gateway, legacy, service, settled } = await startShadowed({
      legacy: respondEqually,
      service: respondEqually,
    })
    await askEach(gateway.port)
    await sendRequest({ port: gateway.port, path: '/products/1' })
    await settled(1)
    expect(changing(legacy.real()).map(({ method }) => method)).toEqual([...METHODS])
    expect(service.seen.map(({ method }) => method)).toEqual(['GET'])
  })

  test('a GET with a body is not copied', async () => {
    const { gateway, service, settled } = await startShadowed({ legacy: respondEqually, service: respondEqually })
    await sendRequest({ port: gateway.port, path: '/products/1', headers: { 'Content-Length': 3 }, body: 'abc' })
    await sendRequest({ port: gateway.port, path: '/products/2' })
    await settled(1)
    expect(service.seen.map(({ url }) => url)).toEqual(['/products/2'])
  })

  test.each([
    ['does not know the handshake', respondEqually],
    [
      'answers it with another word',
      ((_, response) => response.setHeader('X-Shadow-Accepted', '1').end()) as RequestListener,
    ],
    ['is broken', ((_, response) => response.destroy()) as RequestListener],
  ])('with dry-run, a service that %s gets no copy', async (_, service) => {
    const shadowed = await startShadowed({ shadow: { writes: 'dry-run' }, legacy: respondEqually, service })
    await askEach(shadowed.gateway.port)
    await shadowed.settled(4)
    expect(await shadowed.endings()).toEqual({ 'failed(not-dry-run)': 4 })
    expect(changing(shadowed.service.seen)).toEqual([])
    expect(new Set(shadowed.service.seen.map(({ method, url }) => `${method} ${url}`))).toEqual(
      new Set(['OPTIONS /.well-known/shadow']),
    )
  })

  test('with dry-run, a service that agrees gets marked copies, which are compared', async () => {
    const service = agreeing({ handshake: true, answers: true })
    const shadowed = await startShadowed({ shadow: { writes: 'dry-run' }, legacy: respondEqually, service })
    await askEach(shadowed.gateway.port)
    await shadowed.settled(4)
    expect(await shadowed.endings()).toEqual({ matched: 4 })
    // Each uses its own connection, so their order is undefined.
    expect(
      new Set(
        changing(shadowed.service.copies()).map(
          ({ method, body, headers }) => `${method} ${body} ${headers['x-shadow']}`,
        ),
      ),
    ).toEqual(new Set(METHODS.map((method) => `${method} by ${method} dry-run`)))
    expect(changing(shadowed.service.copies())).toHaveLength(4)
    expect(changing(shadowed.legacy.copies()), 'legacy is never asked twice to change something').toEqual([])
  })

  test('with dry-run, one response without the agreement ends it', async () => {
    const says = { handshake: true, answers: true }
    const shadowed = await startShadowed({
      shadow: { writes: 'dry-run' },
      legacy: respondEqually,
      service: agreeing(says),
    })
    const { gateway, settled, endings, service } = shadowed
    await sendRequest({ port: gateway.port, method: 'POST', path: '/products/1', body: 'a' })
    await settled(1)
    says.answers = false
    await sendRequest({ port: gateway.port, method: 'POST', path: '/products/1', body: 'b' })
    await settled(2)
    says.answers = true
    for (const body of ['c', 'd']) await sendRequest({ port: gateway.port, method: 'POST', path: '/products/1', body })
    await settled(4)
    expect(await endings()).toEqual({ matched: 1, 'failed(not-dry-run)': 3 })
    expect(changing(service.copies()).map(({ body }) => body)).toEqual(['a', 'b'])
  })

  test('with dry-run, the end of an agreement also ends copies that wait for a connection', async () => {
    const says = { handshake: true, answers: false }
    const shadowed = await startShadowed({
      shadow: { writes: 'dry-run' },
      legacy: respondEqually,
      service: agreeing(says),
    })
    const { gateway, settled, endings, service } = shadowed
    const bodies = Array.from({ length: 100 }, (_, i) => `${i}`)
    await Promise.all(
      bodies.map((body) => sendRequest({ port: gateway.port, method: 'POST', path: '/products/1', body })),
    )
    await settled(100)
    expect(await endings()).toEqual({ 'failed(not-dry-run)': 100 })
    // The copies that had a connection at the first response.
    expect(changing(service.copies()).length).toBeLessThanOrEqual(16)
  })

  test('with dry-run, an incomplete request is not copied', async () => {
    const service = agreeing({ handshake: true, answers: true })
    const shadowed = await startShadowed({
      shadow: { writes: 'dry-run' },
      legacy: (_, response) => response.writeHead(200, { 'Content-Type': 'text/plain' }).end('no need'),
      service,
    })
    for (const head of ['Content-Length: 10', 'Transfer-Encoding: chunked']) {
      const client = await connectRaw(shadowed.gateway.port)
      const part = head.startsWith('Content') ? 'abc' : '3\r\nabc\r\n'
      client.send(`POST /products/1 HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n${head}\r\n\r\n${part}`)
      await until(() => client.received().includes('no need'))
      client.destroy()
    }
    await shadowed.settled(2)
    expect(changing(shadowed.service.copies())).toEqual([])
    expect(Object.keys(await shadowed.endings())).not.toContain('matched')
  })

  test('with dry-run, a write is not sent to legacy twice', async () => {
    const { gateway, legacy, settled } = await startShadowed({
      shadow: { writes: 'dry-run', noise: { pairShare: 1, pairShareOpen: 1 } },
      legacy: respondEqually,
      service: agreeing({ handshake: true, answers: true }),
    })
    await sendRequest({ port: gateway.port, path: '/products/1' })
    await sendRequest({ port: gateway.port, method: 'POST', path: '/products/1', body: 'a' })
    await settled(2)
    // After the first report the share is that of the policy.
    for (let i = 0; i < 5; i++) {
      await sendRequest({ port: gateway.port, path: '/products/1' })
      await sendRequest({ port: gateway.port, method: 'POST', path: '/products/1', body: 'a' })
    }
    await settled(12)
    expect(legacy.copies().filter(({ method }) => method === 'GET').length).toBeGreaterThanOrEqual(5)
    expect(changing(legacy.copies())).toEqual([])
  })

  test('with dry-run, no write is copied to legacy', async () => {
    const { gateway, legacy, settled } = await startShadowed({
      shadow: { writes: 'dry-run' },
      percentages: { 'migrate-catalog': 100 },
      legacy: agreeing({ handshake: true, answers: true }),
      service: respondEqually,
    })
    await askEach(gateway.port)
    await sendRequest({ port: gateway.port, path: '/products/1' })
    await settled(1)
    expect(changing(legacy.seen)).toEqual([])
  })

  test('with dry-run, a body above the limit is shed and reaches legacy completely', async () => {
    const shadowed = await startShadowed({
      shadow: { writes: 'dry-run', maxBodyBytes: 1000 },
      legacy: respondEqually,
      service: agreeing({ handshake: true, answers: true }),
    })
    const { gateway, legacy, service, settled, endings } = shadowed
    await sendRequest({ port: gateway.port, method: 'POST', path: '/products/1', body: 'x'.repeat(1001) })
    await settled(1)
    expect(legacy.real()[0]?.body).toHaveLength(1001)
    expect(await endings()).toEqual({ 'shed(request-too-large)': 1 })
    expect(service.seen).toEqual([])
  })
})
