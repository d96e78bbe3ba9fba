// The orders service: alone, and beside the monolith, whose cookie it does not know.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { type OpenOrders, openOrders } from './open-orders.ts'

let folder: string
let monolith: { url: string; process: ChildProcess }
let alone: OpenOrders
let beside: OpenOrders
let url: string
let besideUrl: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'orders-'))
  monolith = await runMonolith()
  alone = openOrders({ dataFile: join(folder, 'alone.sqlite'), userHeader: 'x-user-id', heartbeatMs: 20 })
  beside = openOrders({ dataFile: join(folder, 'beside.sqlite'), sessionUrl: `${monolith.url}/api/session` })
  url = await listen(alone)
  besideUrl = await listen(beside)
})

afterAll(async () => {
  await Promise.all([alone.close(), beside.close()])
  monolith.process.kill('SIGTERM')
  await once(monolith.process, 'exit')
  rmSync(folder, { recursive: true })
})

describe('a customer', () => {
  it('is whom the gateway names', async () => {
    const { body } = await request(url).get('/api/orders/42').set('x-user-id', '7').expect(200)
    expect(body).toMatchObject({ id: 42, number: 'FS-0000042', customerId: 7 })
    await request(url).get('/api/orders/42').set('x-user-id', '8').expect(404)
    await request(url).get('/api/orders/42').expect(401)
  })

  it('is not named by a header, unless USER_HEADER says that the gateway sets it', async () => {
    await request(besideUrl).get('/api/orders/42').set('x-user-id', '7').expect(401)
  })

  it('is a session of its own when there is a cookie and nobody to ask', async () => {
    const order = { items: [{ productId: 1 }] }
    const { body } = await request(url).post('/api/orders').set('Cookie', 'a=b; sid=mine').send(order).expect(201)
    expect(body.customerId).toMatch(/^session:[0-9a-f]{16}$/)
    await request(url).get(`/api/orders/${body.id}`).set('Cookie', 'sid=mine').expect(200)
    await request(url).get(`/api/orders/${body.id}`).set('Cookie', 'sid=other').expect(404)
  })

  it('is whom the monolith knows by the cookie, when it can be asked', async () => {
    const sid = await login('gita')
    await request(besideUrl).get('/api/orders/42').set('Cookie', sid).expect(200)
    await request(besideUrl).get('/api/orders/42').set('Cookie', 'sid=made-up').expect(401)
    const lost = openOrders({ dataFile: join(folder, 'lost.sqlite'), sessionUrl: 'http://127.0.0.1:1/api/session' })
    await request(await listen(lost))
      .get('/api/orders/42')
      .set('Cookie', sid)
      .expect(503)
      .expect('Retry-After', '1')
    await lost.close()
  })
})

describe('answers the same as the monolith', () => {
  it.each([
    '/api/orders',
    '/api/orders?page=2',
    '/api/orders?page=x',
    '/api/orders/42',
    '/api/orders/43',
    '/api/orders/x',
  ])('to GET %s, signed in or not', async (path) => {
    for (const cookie of [await login('gita'), 'sid=made-up', '']) {
      const [legacy, service] = await Promise.all(
        [monolith.url, besideUrl].map((side) => request(side).get(path).set('Cookie', cookie)),
      )
      expect(service?.body).toEqual(legacy?.body)
      expect(comparable(service)).toEqual(comparable(legacy))
    }
  })

  it.each([{}, { items: [] }, { items: [{ productId: 1, quantity: 100 }] }, { items: [{ productId: 999 }] }])(
    'to an order that cannot be placed: %j',
    async (order) => {
      const cookie = await login('dan')
      const [legacy, service] = await Promise.all(
        [monolith.url, besideUrl].map((side) => request(side).post('/api/orders').set('Cookie', cookie).send(order)),
      )
      expect(service?.body).toEqual(legacy?.body)
      expect(service?.status).toBe(legacy?.status)
    },
  )

  it('to an order that can, but for its number and its time', async () => {
    const cookie = await login('dan')
    const order = { items: [{ productId: 7, quantity: 2 }, { productId: 99 }] }
    const [legacy, service] = await Promise.all(
      [monolith.url, besideUrl].map((side) => request(side).post('/api/orders').set('Cookie', cookie).send(order)),
    )
    const same = { id: 0, number: '', placedAt: '', updatedAt: '' }
    expect({ ...service?.body, ...same }).toEqual({ ...legacy?.body, ...same })
    expect(service?.body.id).toBe(1_000_001)
    expect(service?.get('Location')).toBe(`${besideUrl}/api/orders/1000001`)
  })
})

it('places an order once, however often it is repeated with its key, and cancels it once', async () => {
  const place = () =>
    request(url)
      .post('/api/orders')
      .set({ 'x-user-id': '3', 'Idempotency-Key': 'k' })
      .send({ items: [{ productId: 1 }] })
  const first = await place().expect(201)
  expect((await place().expect(200)).body).toEqual(first.body)
  const cancel = () => request(url).post(`/api/orders/${first.body.id}/cancel`).set('x-user-id', '3')
  expect((await cancel().expect(200)).body.status).toBe('cancelled')
  await cancel().expect(409)
})

describe('the WebSocket', () => {
  it('tells a customer of his own orders', async () => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/live/orders`, { headers: { 'x-user-id': '5' } })
    const messages = collect(socket)
    expect(await messages.next()).toEqual({ type: 'hello', customerId: 5, servedBy: 'orders' })
    await once(socket, 'ping')
    await request(url)
      .post('/api/orders')
      .set('x-user-id', '6')
      .send({ items: [{ productId: 1 }] })
    const { body } = await request(url)
      .post('/api/orders')
      .set('x-user-id', '5')
      .send({ items: [{ productId: 1 }] })
    expect(await messages.next()).toMatchObject({ type: 'order', status: 'placed', orderId: body.id })
    socket.send(JSON.stringify({ type: 'order', orderId: body.id }))
    expect(await messages.next()).toEqual({ type: 'order-state', order: body })
    socket.send('{')
    expect(await messages.next()).toEqual({ type: 'error', code: 'not-json' })
    socket.close()
    await once(socket, 'close')
  })

  it.each([
    [401, '/live/orders', {}],
    [403, '/live/orders', { origin: 'https://evil.example', headers: { 'x-user-id': '5' } }],
    [404, '/live/elsewhere', { headers: { 'x-user-id': '5' } }],
  ])('is refused with %i: %s %j', async (status, path, options) => {
    const socket = new WebSocket(url.replace('http', 'ws') + path, options)
    const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
    expect(answer.statusCode).toBe(status)
    answer.resume()
  })

  it('is told when the service closes', async () => {
    const closing = openOrders({ dataFile: join(folder, 'closing.sqlite'), userHeader: 'x-user-id' })
    const address = await listen(closing)
    await request(address).get('/healthz').expect(200, { status: 'ok' })
    const socket = new WebSocket(`${address.replace('http', 'ws')}/live/orders`, { headers: { 'x-user-id': '5' } })
    await once(socket, 'message')
    const [[code]] = await Promise.all([once(socket, 'close'), closing.close()])
    expect(code).toBe(1001)
  })
})

async function listen(orders: OpenOrders): Promise<string> {
  await once(orders.server.listen(0, '127.0.0.1'), 'listening')
  return `http://127.0.0.1:${(orders.server.address() as AddressInfo).port}`
}

async function login(name: string): Promise<string> {
  const form = { email: `${name}@shop.example`, password: 'demo-password' }
  const answer = await request(monolith.url).post('/login').type('form').send(form).expect(303)
  return String(answer.get('Set-Cookie')?.[0]).split(';')[0] ?? ''
}

function comparable(answer: request.Response | undefined) {
  const { date: _date, 'x-served-by': _servedBy, ...headers } = answer?.headers ?? {}
  return { status: answer?.status, headers }
}

function collect(socket: WebSocket) {
  const messages: unknown[] = []
  socket.on('message', (message) => messages.push(JSON.parse(String(message))))
  return {
    async next(): Promise<unknown> {
      while (messages.length === 0) await once(socket, 'message')
      return messages.shift()
    },
  }
}

async function runMonolith(): Promise<{ url: string; process: ChildProcess }> {
  const env = { ...process.env, PORT: '0', HOST: '127.0.0.1', DATA_FILE: join(folder, 'monolith.sqlite') }
  const path = fileURLToPath(new URL('../../legacy-monolith/server.ts', import.meta.url))
  const child = spawn(process.execPath, [path], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    const address = /listens on (\S+)/.exec(line)?.[1]
    if (address === undefined) continue
    child.stdout.resume()
    return { url: address, process: child }
  }
  throw new Error('the monolith did not start')
}
