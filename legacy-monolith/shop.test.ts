// The shop's promises, over real sockets: browse, sign in, order, pay, upload, download, hear of changes.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { type OpenShop, openShop } from './open-shop.ts'
import { SEED_PASSWORD } from './seed.ts'

let folder: string
let shop: OpenShop
let url: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shop-'))
  shop = openShop({ dataFile: join(folder, 'shop.sqlite'), heartbeatMs: 50 })
  await once(shop.server.listen(0, '127.0.0.1'), 'listening')
  url = `http://127.0.0.1:${(shop.server.address() as AddressInfo).port}`
})

afterAll(async () => {
  await shop.close()
  rmSync(folder, { recursive: true })
})

async function signedIn(name: string) {
  const agent = request.agent(url)
  await agent
    .post('/login')
    .type('form')
    .send({ email: `${name}@shop.example`, password: SEED_PASSWORD })
    .expect(303)
  return agent
}

async function cookieOf(name: string): Promise<string> {
  const answer = await request(url)
    .post('/login')
    .type('form')
    .send({ email: `${name}@shop.example`, password: SEED_PASSWORD })
  return String(answer.get('Set-Cookie')?.[0]).split(';')[0] ?? ''
}

describe('browsing', () => {
  it.each(['/', '/products', '/products/7', '/products/7/reviews', '/search?q=fig', '/cart', '/login', '/register'])(
    'shows %s to anybody, and sets no cookie for it',
    async (path) => {
      const page = await request(url)
        .get(path)
        .expect(200)
        .expect('Content-Type', /text\/html/)
      expect(page.text).toContain('<title>')
      expect(page.get('Set-Cookie')).toBeUndefined()
      expect(page.get('x-served-by')).toBe('monolith')
    },
  )

  it('names assets by their hash and lets them be kept for ever', async () => {
    const { text } = await request(url).get('/')
    for (const [, path] of text.matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)) {
      expect(path).toMatch(/\.[0-9a-f]{10}\.(css|js|svg)$/)
      const asset = await request(url).get(String(path)).expect(200)
      expect(asset.get('Cache-Control')).toBe('public, max-age=31536000, immutable')
    }
  })

  it('answers 304 to a client that has the current page', async () => {
    const first = await request(url).get('/products/7')
    const { text } = await request(url)
      .get('/products/7')
      .set('If-None-Match', String(first.get('ETag')))
      .expect(304)
    expect(text).toBe('')
  })

  it('finds by part of a word, and takes wildcards as letters', async () => {
    const response = await request(url).get('/api/catalog/products?q=lantern&pageSize=100').expect(200)
    expect(response.body.total).toBe(3)
    const none = await request(url).get('/api/catalog/products?q=%25_%25').expect(200)
    expect(none.body.total).toBe(0)
  })

  it('an injected statement is only a word that nothing contains', async () => {
    const response = await request(url)
      .get(`/api/catalog/products?q=${encodeURIComponent("' OR 1=1 --")}`)
      .expect(200)
    expect(response.body.total).toBe(0)
  })

  it('what somebody searched for comes back as text, never as markup', async () => {
    const { text } = await request(url).get(`/search?q=${encodeURIComponent('"><script>alert(1)</script>')}`)
    expect(text).not.toContain('<script>alert')
    expect(text).toContain('&quot;&gt;&lt;script&gt;')
  })

  it.each(['/products/999', '/products/x', '/nowhere'])('says so, on a page, when there is no %s', async (path) => {
    await request(url)
      .get(path)
      .expect(404)
      .expect('Content-Type', /text\/html/)
  })

  it('answers the API in JSON, mistakes too', async () => {
    const { body } = await request(url).get('/api/catalog/products?page=0').expect(400)
    expect(body.error.code).toBe('bad-page')
    await request(url).post('/api/catalog/products').expect(405).expect('Allow', 'GET, HEAD')
  })
})

describe('signing in', () => {
  it('gives a session cookie that scripts cannot read, and a new one at every login', async () => {
    const [first, second] = [await cookieOf('ben'), await cookieOf('ben')]
    expect(first).toMatch(/^sid=[\w-]{43}$/)
    expect(second).not.toBe(first)
    const answer = await request(url)
      .post('/login')
      .type('form')
      .send({ email: 'ben@shop.example', password: SEED_PASSWORD })
    expect(answer.get('Set-Cookie')?.[0]).toMatch(/HttpOnly; SameSite=Lax/)
  })

  it.each(['ben@shop.example', 'nobody@shop.example'])('refuses a wrong password for %s', async (email) => {
    const answer = await request(url).post('/login').type('form').send({ email, password: 'wrong' }).expect(401)
    expect(answer.get('Set-Cookie')).toBeUndefined()
  })

  it('redirects absolutely, to the host and scheme that the browser used', async () => {
    const login = { email: 'ben@shop.example', password: SEED_PASSWORD, next: '/orders?page=2' }
    const answer = await request(url)
      .post('/login')
      .set({ 'X-Forwarded-Host': 'shop.example', 'X-Forwarded-Proto': 'https' })
      .type('form')
      .send(login)
      .expect(303)
    expect(answer.get('Location')).toBe('https://shop.example/orders?page=2')
    expect(answer.get('Set-Cookie')?.[0]).toContain('Secure')
  })

  it.each(['//evil.example/', 'https://evil.example/', '/\\evil.example', 'javascript:alert(1)'])(
    'never redirects to another site: %s',
    async (next) => {
      const login = { email: 'ben@shop.example', password: SEED_PASSWORD, next }
      const answer = await request(url).post('/login').type('form').send(login).expect(303)
      expect(answer.get('Location')).toBe(`${url}/account`)
    },
  )

  it('redirects from the account to the login page, and back after the login', async () => {
    const answer = await request(url).get('/orders/42').expect(303)
    expect(answer.get('Location')).toBe(`${url}/login?next=%2Forders%2F42`)
  })

  it('opens new accounts, and ends sessions at logout', async () => {
    const agent = request.agent(url)
    const person = { name: 'Mo', email: 'mo@shop.example', password: 'a long enough one' }
    await agent.post('/register').type('form').send(person).expect(303)
    await agent.patch('/api/accounts/me').send({ address: '1 New Street' }).expect(200)
    expect((await agent.get('/api/accounts/me')).body).toMatchObject({ name: 'Mo', address: '1 New Street' })
    await agent.post('/logout').expect(303)
    expect((await agent.get('/api/session')).body.user).toBeNull()
    await request(url).post('/register').type('form').send(person).expect(422)
  })
})

describe('ordering', () => {
  it('goes from cart to order, also when the cart was filled before signing in', async () => {
    const agent = request.agent(url)
    await agent.post('/cart/items').type('form').send({ productId: 7, quantity: 2 }).expect(303)
    await agent.post('/login').type('form').send({ email: 'cleo@shop.example', password: SEED_PASSWORD }).expect(303)
    expect((await agent.get('/api/session')).body).toMatchObject({ user: { id: 3 }, cartItems: 2 })
    const response = await agent.post('/checkout').expect(303)
    const path = new URL(String(response.get('Location'))).pathname
    expect((await agent.get(path).expect(200)).text).toContain('293.94')
    await agent.post(`${path}/cancel`).expect(303)
    await agent.post(`${path}/cancel`).expect(409)
  })

  it('places an order through the API once, however often it is repeated with its key', async () => {
    const agent = await signedIn('dan')
    const order = { items: [{ productId: 1, quantity: 1 }] }
    const first = await agent.post('/api/orders').set('Idempotency-Key', 'k-1').send(order).expect(201)
    expect(first.get('Location')).toBe(`${url}/api/orders/${first.body.id}`)
    const again = await agent.post('/api/orders').set('Idempotency-Key', 'k-1').send(order).expect(200)
    expect(again.body).toEqual(first.body)
  })

  it.each([
    [400, {}],
    [400, { items: [] }],
    [400, { items: [{ productId: 1, quantity: 0 }] }],
    [422, { items: [{ productId: 9999 }] }],
  ])('answers %i to %j', async (status, order) => {
    await (await signedIn('dan')).post('/api/orders').send(order).expect(status)
  })

  it("shows nobody another customer's order", async () => {
    await request(url).get('/api/orders/42').expect(401)
    expect((await (await signedIn('gita')).get('/api/orders/42').expect(200)).body.customerId).toBe(7)
    await (await signedIn('hugo')).get('/api/orders/42').expect(404)
  })

  it('takes payment once, keeps four digits of the card, and refunds', async () => {
    const agent = await signedIn('eva')
    const order = (await agent.post('/api/orders').send({ items: [{ productId: 2 }] })).body
    const payment = { orderId: order.id, method: 'card' }
    await agent
      .post('/api/payments')
      .send({ ...payment, card: '4000 0000 0000 0002' })
      .expect(402)
    const paid = await agent
      .post('/api/payments')
      .send({ ...payment, card: '4242 4242 4242 4242' })
      .expect(201)
    expect(paid.body).toMatchObject({ amount: order.total, lastFour: '4242', status: 'captured' })
    await agent
      .post('/api/payments')
      .send({ ...payment, method: 'invoice' })
      .expect(409)
    await agent.post(`/api/payments/${paid.body.id}/refund`).expect(200)
    expect((await agent.get(`/api/orders/${order.id}`)).body.status).toBe('refunded')
  })
})

describe('uploading', () => {
  const png = Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), Buffer.alloc(1000)])

  it('keeps the photo of a review and serves it as what it is', async () => {
    const agent = await signedIn('finn')
    const review = agent.post('/products/5/reviews').field({ rating: 4, text: 'Good <b>rake</b>' })
    await review.attach('photo', png, 'me.png').expect(303)
    const { text } = await agent.get('/products/5/reviews')
    expect(text).toContain('Good &lt;b&gt;rake&lt;/b&gt;')
    const photo = /src="(\/uploads\/[^"]+)"/.exec(text)?.[1]
    const { body } = await agent.get(String(photo)).expect(200).expect('Content-Type', 'image/png')
    expect(Buffer.compare(body, png)).toBe(0)
  })

  it.each([
    [413, 'at most 2 MiB', Buffer.concat([png, Buffer.alloc(2 * 1024 * 1024)])],
    [415, 'JPEG, PNG or WebP', Buffer.from('<svg onload="alert(1)">')],
  ])('answers %i and says "%s"', async (status, sentence, photo) => {
    const agent = await signedIn('finn')
    const answer = agent.post('/products/5/reviews').field({ rating: 4, text: 'x' }).attach('photo', photo, 'x.png')
    expect((await answer.expect(status)).text).toContain(sentence)
  })

  it('accepts no photo from a client that is not signed in, and serves no other file', async () => {
    await request(url).post('/products/5/reviews').field({ rating: 4, text: 'x' }).expect(303)
    await request(url).get('/uploads/..%2fshop.sqlite').expect(404)
  })
})

describe('downloading', () => {
  const path = '/downloads/catalogue.bin?bytes=200000'

  it('sends the file in parts that fit together', async () => {
    const whole = await request(url).get(path).expect(200).expect('Content-Length', '200000')
    const part = await request(url).get(path).set('Range', 'bytes=65000-131999').expect(206)
    expect(part.get('Content-Range')).toBe('bytes 65000-131999/200000')
    expect(Buffer.compare(part.body, whole.body.subarray(65_000, 132_000))).toBe(0)
    const end = await request(url).get(path).set('Range', 'bytes=-10').expect(206)
    expect(Buffer.compare(end.body, whole.body.subarray(-10))).toBe(0)
  })

  it('answers HEAD, If-Range and ranges beyond the end as RFC 9110 says', async () => {
    const head = await request(url).head(path).expect(200).expect('Content-Length', '200000')
    await request(url).get(path).set({ Range: 'bytes=0-9', 'If-Range': '"another"' }).expect(200)
    await request(url)
      .get(path)
      .set({ Range: 'bytes=0-9', 'If-Range': String(head.get('ETag')) })
      .expect(206)
    await request(url)
      .get(path)
      .set('If-None-Match', String(head.get('ETag')))
      .expect(304)
    await request(url).get(path).set('Range', 'bytes=200000-').expect(416).expect('Content-Range', 'bytes */200000')
  })

  it('exports all orders, to the staff only', async () => {
    await (await signedIn('ben')).get('/exports/orders.csv').expect(403)
    const { text } = await (await signedIn('ada')).get('/exports/orders.csv?rows=10').expect(200)
    expect(text.trim().split('\n')).toHaveLength(11)
  })
})

describe('hearing of orders', () => {
  it('streams an event when an order changes: all of it to its owner, only that it happened to others', async () => {
    const [owner, stranger] = [await listen({ Cookie: await cookieOf('ines') }), await listen({})]
    const agent = await signedIn('ines')
    const { body: order } = await agent
      .post('/api/orders')
      .send({ items: [{ productId: 3 }] })
      .expect(201)
    expect(await owner.until('event: order')).toContain(`"orderId":${order.id}`)
    expect(await stranger.until('event: order')).not.toContain('orderId')
    expect(await stranger.until('heartbeat')).toContain(': heartbeat')

    const eventId = Number(/^id: (\d+)$/m.exec(owner.heard())?.[1])
    const returned = await listen({ Cookie: await cookieOf('ines'), 'Last-Event-ID': String(eventId - 1) })
    expect(await returned.until('event: order')).toContain(`id: ${eventId}\n`)
    for (const listener of [owner, stranger, returned]) listener.leave()
  })

  it('tells the owner over the WebSocket', async () => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/live/orders`, {
      headers: { Cookie: await cookieOf('jan') },
    })
    const messages = collect(socket)
    expect(await messages.next()).toMatchObject({ type: 'hello', customerId: 10 })
    socket.send(JSON.stringify({ type: 'ping' }))
    expect(await messages.next()).toEqual({ type: 'pong' })
    const { body: order } = await (await signedIn('jan')).post('/api/orders').send({ items: [{ productId: 3 }] })
    expect(await messages.next()).toMatchObject({ type: 'order', orderId: order.id, status: 'placed' })
    socket.send(JSON.stringify({ type: 'order', orderId: order.id }))
    expect(await messages.next()).toMatchObject({ type: 'order-state', order: { id: order.id } })
    socket.close()
    await once(socket, 'close')
  })

  it.each([
    [401, '/live/orders', {}],
    [403, '/live/orders', { origin: 'https://evil.example' }],
    [404, '/live/elsewhere', {}],
  ])('refuses the upgrade with %i: %s %j', async (status, path, options) => {
    const socket = new WebSocket(url.replace('http', 'ws') + path, options)
    const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
    expect(answer.statusCode).toBe(status)
    answer.resume()
  })
})

describe('running', () => {
  it('sends old links on, and tells robots where things are', async () => {
    await request(url).get('/shop').expect(301).expect('Location', `${url}/products`)
    await request(url).get('/p/ash-hoe').expect(301).expect('Location', `${url}/products/7`)
    await request(url).get('/article.php?id=7').expect(301).expect('Location', `${url}/products/7`)
    expect((await request(url).get('/sitemap.xml').expect(200)).text).toContain(`<loc>${url}/products/120</loc>`)
    await request(url).get('/robots.txt').expect(200)
  })

  it('closes with streams open, ending them', async () => {
    const other = openShop({ dataFile: join(folder, 'closing.sqlite') })
    await once(other.server.listen(0, '127.0.0.1'), 'listening')
    const port = (other.server.address() as AddressInfo).port
    await request(other.server).get('/healthz').expect(200)
    const [stream] = (await once(get({ port, path: '/events/orders' }), 'response')) as [IncomingMessage]
    stream.resume()
    await Promise.all([other.close(), once(stream, 'end')])
    expect(other.server.listening).toBe(false)
  })
})

async function listen(headers: Record<string, string>) {
  const request = get(`${url}/events/orders`, { headers })
  const [stream] = (await once(request, 'response')) as [IncomingMessage]
  expect(stream.headers['content-type']).toContain('text/event-stream')
  let heard = ''
  stream.setEncoding('utf8')
  stream.on('error', () => {}) // leaving is not an error
  stream.on('data', (text: string) => {
    heard += text
  })
  return {
    heard: () => heard,
    leave: () => request.destroy(),
    async until(words: string): Promise<string> {
      while (!heard.includes(words) || !heard.endsWith('\n\n')) await once(stream, 'data')
      return heard
    },
  }
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
