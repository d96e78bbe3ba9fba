// Published Express middleware on a route: it can answer requests, and the fields that it sets reach the client.
import http from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { runMiddleware } from '../../src/proxy/policy/run-middleware.ts'
import { startGateway } from '../kit/gateway.ts'
import { whenOver } from '../kit/lifetime.ts'
import { startRawOrigin } from '../kit/origin.ts'
import { exchange } from '../kit/raw.ts'

const require = createRequire(import.meta.url)

/** A gateway with middleware on one route, from packages that this repository depends on. */
async function startWith(middleware: string, answer?: string, more = '', route = '', legacy = '') {
  const origin = await startRawOrigin(answer)
  const gateway = await startGateway(
    { legacy: { url: origin.url } },
    {
      percentages: { 'migrate-shop': 100 },
      configModule: `
        import cors from ${JSON.stringify(require.resolve('cors'))}
        import express from ${JSON.stringify(require.resolve('express'))}
        import { rateLimit } from ${JSON.stringify(require.resolve('express-rate-limit'))}
        import helmet from ${JSON.stringify(require.resolve('helmet'))}
        export default {
          legacy: { url: ${JSON.stringify(origin.url)}, ${legacy} },
          services: { shop: { url: ${JSON.stringify(origin.url)} } },
          contexts: {
            shop: {
              owner: 'team-shop', service: 'shop', flag: 'migrate-shop',
              routes: [{ path: '/shop', middleware: ${middleware}, ${route} }, '/other'],
            },
          },
          drain: { noticeMs: 0, limitMs: 5000 },
          ${more}
        }`,
    },
  )
  const ask = (path = '/shop', fields = '', method = 'GET', body = '') =>
    exchange(gateway.port, `${method} ${path} HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n${fields}\r\n${body}`)
  return { origin, gateway, ask }
}

const line = (head: string, name: string) =>
  head.split('\r\n').filter((text) => text.toLowerCase().startsWith(`${name}: `))

describe('helmet', () => {
  it('adds its fields to responses of the service, only on its route', async () => {
    const { ask } = await startWith('helmet()')
    const { head, body } = await ask()
    expect(body).toBe('ok')
    expect(head).toMatch(/\r\ncontent-security-policy: default-src 'self'/i)
    expect(head).toMatch(/\r\nx-content-type-options: nosniff\r\n/i)
    expect(head).not.toMatch(/x-powered-by/i)
    expect((await ask('/other')).head).not.toMatch(/content-security-policy/i)
  })

  it('adds its fields to refusals of the gateway', async () => {
    const { ask } = await startWith('helmet()', 'SSH-2.0\r\n')
    const answer = await ask()
    expect(answer.status).toBe(502)
    expect(answer.head).toMatch(/\r\nx-content-type-options: nosniff\r\n/i)
  })

  it('does not override a field of the service', async () => {
    const own = "HTTP/1.1 200 OK\r\nContent-Security-Policy: default-src 'none'\r\nContent-Length: 2\r\n\r\nok"
    const { ask } = await startWith('helmet()', own)
    expect(line((await ask()).head, 'content-security-policy')).toEqual(["Content-Security-Policy: default-src 'none'"])
  })
})

describe('cors', () => {
  it('answers a preflight request without the service', async () => {
    const { origin, ask } = await startWith("cors({ origin: 'https://app.example', credentials: true })")
    const answer = await ask(
      '/shop',
      'Origin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\n',
      'OPTIONS',
    )
    expect(answer.status).toBe(204)
    expect(answer.head).toMatch(/\r\naccess-control-allow-origin: https:\/\/app\.example\r\n/i)
    expect(answer.head).toMatch(/\r\naccess-control-allow-methods: .*PUT/i)
    expect(origin.requests()).toBe(0)
  })

  it('adds Access-Control-Allow-Origin to a response of the service', async () => {
    const { ask } = await startWith("cors({ origin: 'https://app.example' })")
    const { head, body } = await ask('/shop', 'Origin: https://app.example\r\n')
    expect(body).toBe('ok')
    expect(head).toMatch(/\r\naccess-control-allow-origin: https:\/\/app\.example\r\n/i)
  })

  it('adds Origin to the Vary field of the service', async () => {
    const varying = 'HTTP/1.1 200 OK\r\nVary: Accept-Encoding\r\nContent-Length: 2\r\n\r\nok'
    const { ask } = await startWith("cors({ origin: 'https://app.example' })", varying)
    expect(line((await ask()).head, 'vary').join()).toMatch(/Origin.*Accept-Encoding|Accept-Encoding.*Origin/i)
  })
})

describe('express-rate-limit', () => {
  it('answers 429 above its limit without the service', async () => {
    const { origin, ask } = await startWith('rateLimit({ windowMs: 60_000, limit: 2, standardHeaders: true })')
    expect((await ask()).head).toMatch(/\r\nratelimit-remaining: 1\r\n/i)
    expect((await ask()).status).toBe(200)
    const refused = await ask()
    expect(refused.status).toBe(429)
    expect(refused.head).toMatch(/\r\nretry-after: \d+\r\n/i)
    expect(origin.requests()).toBe(2)
    expect((await ask('/other')).status).toBe(200)
  })

  it('distinguishes clients behind a trusted proxy, and ignores X-Forwarded-For of others', async () => {
    const limiter = 'rateLimit({ windowMs: 60_000, limit: 1 })'
    const trusting = await startWith(limiter, undefined, "trustedProxies: ['127.0.0.1/32'],")
    expect((await trusting.ask('/shop', 'X-Forwarded-For: 192.0.2.1\r\n')).status).toBe(200)
    expect((await trusting.ask('/shop', 'X-Forwarded-For: 192.0.2.2\r\n')).status).toBe(200)
    expect((await trusting.ask('/shop', 'X-Forwarded-For: 192.0.2.1\r\n')).status).toBe(429)
    expect((await trusting.ask('/shop', 'X-Forwarded-For: 192.0.2.9, 192.0.2.1\r\n')).status).toBe(429)
    const wary = await startWith(limiter)
    expect((await wary.ask('/shop', 'X-Forwarded-For: 192.0.2.1\r\n')).status).toBe(200)
    expect((await wary.ask('/shop', 'X-Forwarded-For: 192.0.2.2\r\n')).status).toBe(429)
  })
})

describe('any middleware', () => {
  it('runs before the decision in the order of its list, and each can answer', async () => {
    const { origin, ask } = await startWith(`[
      (req, res, next) => { res.set('X-First', req.path + ' ' + req.query.a); next() },
      (req, res, next) => req.query.stop ? res.status(418).json({ stopped: true }) : next(),
    ]`)
    const passed = await ask('/shop?a=1')
    expect(passed.status).toBe(200)
    expect(passed.head).toContain('\r\nX-First: /shop 1\r\n')
    const stopped = await ask('/shop?a=1&stop=1')
    expect(stopped).toMatchObject({ status: 418, body: '{"stopped":true}' })
    expect(origin.requests()).toBe(1)
  })

  it('may answer asynchronously', async () => {
    const { ask } = await startWith('(req, res, next) => setTimeout(next, 50)')
    expect(await ask('/shop', 'Content-Length: 5\r\n', 'POST', 'hello')).toMatchObject({ status: 200, body: 'ok' })
  })

  it('may set cookies in addition to those of the service', async () => {
    const cookies = 'HTTP/1.1 200 OK\r\nSet-Cookie: theirs=1\r\nSet-Cookie: more=2\r\nContent-Length: 2\r\n\r\nok'
    const { ask } = await startWith("(req, res, next) => { res.cookie('mine', '1'); next() }", cookies)
    const set = line((await ask()).head, 'set-cookie').map((text) => text.slice(12).split(';')[0])
    expect(set.filter((cookie) => !cookie?.startsWith('strangler_id')).sort()).toEqual(['mine=1', 'more=2', 'theirs=1'])
  })

  it.each([
    ['throws', "() => { throw new Error('secret inside') }"],
    ['rejects', "async () => { throw new Error('secret inside') }"],
    ['hands an error on', "(req, res, next) => next(new Error('secret inside'))"],
  ])('that %s causes a 500 with a problem document, without the service', async (_how, middleware) => {
    const { origin, gateway, ask } = await startWith(middleware)
    const answer = await ask()
    expect(answer.status).toBe(500)
    expect(answer.head).toMatch(/\r\nContent-Type: application\/problem\+json\r\n/)
    expect(answer.body).not.toMatch(/secret|inside|\.js|\.ts/)
    expect(origin.requests()).toBe(0)
    expect(await gateway.metric('strangler_bugs_total')).toBe(1)
    expect((await ask('/other')).status).toBe(200)
  })

  it('that reads the body causes a 500, because the body cannot be forwarded', async () => {
    const { origin, ask } = await startWith('express.json()')
    const fields = 'Content-Type: application/json\r\nContent-Length: 2\r\n'
    expect((await ask('/shop', fields, 'POST', '{}')).status).toBe(500)
    expect(origin.requests()).toBe(0)
    expect((await ask()).status).toBe(200)
  })

  it('that reads the body is logged with its route and advice', async () => {
    const route = {
      pattern: '/shop',
      middleware: [require('express').json()],
    } as unknown as Parameters<typeof runMiddleware>[0]
    const head = {} as Parameters<typeof runMiddleware>[3]
    const snapshot = { trustsProxy: () => false } as unknown as Parameters<typeof runMiddleware>[4]
    let message = ''
    const server = http.createServer(async (request, response) => {
      await runMiddleware(route, request, response, head, snapshot).catch((error: Error) => {
        message = error.message
      })
      response.end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    whenOver(() => void server.close())
    const { port } = server.address() as AddressInfo
    await exchange(port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}')
    expect(message).toBe(
      'route "/shop": a middleware read the request body, which then cannot be forwarded; remove the body parser',
    )
  })
})

describe('a request that middleware changes', () => {
  /** The head that the service receives. */
  async function sentBy(body: string, fields = '', path = '/shop', route = '', more = '') {
    const { origin, ask, gateway } = await startWith(`(req, res, next) => { ${body}; next() }`, undefined, more, route)
    const answer = await ask(path, fields)
    const head = origin.heads().at(-1) ?? ''
    return { answer, head, origin, gateway }
  }

  it('is forwarded with the fields that middleware set, changed and removed', async () => {
    const { answer, head } = await sentBy(
      `req.headers['x-new'] = 'n'; req.headers['x-a'] = ['1', '2']; delete req.headers['x-b']; req.headers.cookie = 'c=d'`,
      'X-A: old\r\nX-B: 1\r\nX-b: 2\r\nX-C: 1\r\nX-C: 2\r\n',
    )
    expect(answer.status).toBe(200)
    expect(line(head, 'x-new')).toEqual(['x-new: n'])
    expect(line(head, 'x-a').map((text) => text.slice(5))).toEqual(['1', '2'])
    expect(line(head, 'x-b')).toEqual([])
    expect(line(head, 'x-c')).toEqual(['X-C: 1', 'X-C: 2'])
    expect(line(head, 'cookie').map((text) => text.slice(8))).toEqual(['c=d'])
  })

  it('is sent to the path that middleware set, without the rewrite of the route, and is logged with the client’s path', async () => {
    const { head, gateway } = await sentBy("req.url = '/left/here?x=1'", '', '/shop?a=1', "rewrite: '/v2/shop'")
    expect(head).toMatch(/^GET \/left\/here\?x=1 HTTP\/1\.1\r\n/)
    expect(await gateway.accessLine(() => true)).toMatchObject({ path: '/shop?a=1' })
  })

  it('keeps the rewrite of the route if middleware changed only the query', async () => {
    const { head } = await sentBy("req.url = '/shop?x=1'", '', '/shop?a=1', "rewrite: '/v2/shop'")
    expect(head).toMatch(/^GET \/v2\/shop\?x=1 HTTP\/1\.1\r\n/)
  })

  it('keeps a field that middleware set although the client lists it in Connection', async () => {
    const { head } = await sentBy(
      "req.headers['x-role'] = 'guest'",
      'Connection: close, X-Role, X-Gone\r\nX-Gone: 1\r\n',
    )
    expect(line(head, 'x-role')).toEqual(['x-role: guest'])
    expect(line(head, 'x-gone')).toEqual([])
  })

  it('keeps identity, framing and forwarding fields and the method, whatever middleware sets', async () => {
    const { answer, head } = await sentBy(
      `Object.assign(req.headers, {
        host: 'evil', 'content-length': '5', 'transfer-encoding': 'chunked', connection: 'x-kept', 'x-account': 'eve',
        'x-user-id': 'eve', 'x-forwarded-for': '6.6.6.6', 'x-request-id': 'mine', x_user_id: 'eve', via: '1.1 x', te: 'trailers',
      }); req.method = 'DELETE'`,
      'X-Kept: 1\r\n',
      '/shop',
      '',
      "identity: { user: { header: 'x-account', trust: ['10.0.0.2'] } }, trustedProxies: ['10.0.0.2'],",
    )
    expect(answer.status).toBe(200)
    expect(head).toMatch(/^GET \/shop /)
    expect(head).not.toMatch(/evil|eve|6\.6\.6\.6|mine|content-length|transfer-encoding|trailers|1\.1 x/i)
    expect(line(head, 'x-kept')).toHaveLength(1)
  })

  it.each([
    ['a line break in a value', "req.headers['x-bad'] = 'a\\r\\nX-Evil: 1'"],
    ['a character beyond latin1 in a value', "req.headers['x-bad'] = '\\u010a'"],
    ['an object as a value', "req.headers['x-bad'] = {}"],
    ['a name that is not a token', "req.headers['x bad'] = 'a'"],
    ['a line break in the query', "req.url = '/shop?a=\\r\\nX-Evil: 1'"],
    ['a character beyond latin1 in the query', "req.url = '/shop?a=\\u010a'"],
    ['a path that a client could not send', "req.url = '/shop/..%2f\\\\'"],
    ['no path', 'req.url = undefined'],
  ])('to %s is answered with 500, without the service', async (_what, body) => {
    const { answer, origin, gateway } = await sentBy(body)
    expect(answer.status).toBe(500)
    expect(origin.requests()).toBe(0)
    expect(await gateway.metric('strangler_bugs_total')).toBe(1)
  })
})

describe('middleware of legacy', () => {
  it('runs only for paths that no context owns', async () => {
    const legacy =
      "middleware: (req, res, next) => { req.headers['x-legacy'] = '1'; res.set('X-By', 'legacy'); next() }"
    const { origin, ask } = await startWith('[]', undefined, '', '', legacy)
    expect(line((await ask('/elsewhere')).head, 'x-by')).toEqual(['X-By: legacy'])
    expect(line(origin.heads().at(-1) ?? '', 'x-legacy')).toEqual(['x-legacy: 1'])
    expect(line((await ask('/other')).head, 'x-by')).toEqual([])
  })
})
