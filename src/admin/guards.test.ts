import { gzipSync } from 'node:zlib'
import request from 'supertest'
import { describe, expect, test } from 'vitest'
import { connectRaw, exchange } from '../../test/kit/raw.ts'
import { createTestAdmin, startTestAdmin, TOKEN } from './admin.test-kit.ts'
import { hasWriteMethod } from './http/api-route.ts'
import { MAX_BODY_BYTES } from './http/json-body.ts'
import { API_ROUTES } from './http/routes.ts'

const WRITES = API_ROUTES.filter(hasWriteMethod)
const pathOf = (path: string) => path.replace(':id', 'catalog')

// The attack: the name evil.example resolves to 127.0.0.1 after its page has loaded. The browser of the visitor then sends requests
// to this port, with the Host evil.example.
describe('DNS rebinding', () => {
  const PATHS = ['/livez', '/readyz', '/metrics', '/api/v1/status', '/api/v1/events', '/api/v1/nothing', '/']

  test.each(PATHS)('%s is refused for a foreign Host', async (path) => {
    const { app } = await createTestAdmin()
    for (const host of ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example:80', 'admin.internal.evil']) {
      const { body } = await request(app)
        .get(path)
        .set('Host', host)
        .set('Authorization', `Bearer ${TOKEN}`)
        .expect(421)
      expect(body.code).toBe('foreign-host')
    }
  })

  test.each(WRITES)('$method $path is refused for a foreign Host', async ({ method, path }) => {
    const { ask, control } = await createTestAdmin()
    await ask(method, pathOf(path)).set('Host', 'evil.example').expect(421)
    expect(control.changeRequests).toEqual([])
  })

  // RFC 9112 section 3.2.2: the host in the target takes precedence over the field.
  test.each([
    ['http://evil.example/api/v1/status', 'localhost', 421],
    ['http://evil.example/livez', 'localhost', 421],
    ['http://user@localhost/api/v1/status', 'localhost', 421],
    ['http://localhost/api/v1/status', 'localhost', 200],
    ['HTTP://LOCALHOST:1234/api/v1/status', 'localhost', 200],
    ['//evil.example/api/v1/status', 'localhost', 404],
    ['/api/v1/status', 'localhost\r\nHost: evil.example', 400],
    ['/api/v1/status', 'evil.example\r\nHost: localhost', 400],
    ['/api/v1/status', 'localhost, evil.example', 421],
  ])('the target %s with Host %j is answered with status %d', async (target, host, status) => {
    const { port } = await startTestAdmin()
    const head = `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`
    expect((await exchange(port, head)).status).toBe(status)
  })
})

describe('a request over HTTP/1.0 without Host', () => {
  // HAProxy's `option httpchk GET /readyz` sends exactly this; no browser does.
  test.each([
    ['GET', '/livez', 200],
    ['HEAD', '/livez', 200],
    ['GET', '/readyz', 200],
    ['HEAD', '/readyz', 200],
    ['OPTIONS', '/readyz', 421],
    ['OPTIONS', '/', 421],
    ['GET', '/metrics', 421],
    ['GET', '/api/v1/status', 421],
    ['PUT', '/api/v1/kill-switch', 421],
    ['GET', 'http://evil.example/readyz', 421],
  ])('%s %s is answered with status %d', async (method, target, status) => {
    const { port } = await startTestAdmin()
    const head = `${method} ${target} HTTP/1.0\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`
    expect((await exchange(port, head)).status).toBe(status)
  })

  test('an HTTP/1.0 request with a foreign Host is refused on the health paths', async () => {
    const { port } = await startTestAdmin()
    expect((await exchange(port, 'GET /readyz HTTP/1.0\r\nHost: evil.example\r\n\r\n')).status).toBe(421)
  })
})

// The attack: a page of another origin that has stolen a token, or whose requests pass a proxy that adds one.
describe('pages of other origins', () => {
  test.each<[Record<string, string>, number]>([
    [{}, 200],
    [{ Origin: 'http://localhost:8081' }, 200],
    [{ Origin: 'https://LOCALHOST:8081', 'Sec-Fetch-Site': 'same-origin' }, 200],
    [{ Origin: 'https://evil.example' }, 403],
    [{ Origin: 'http://localhost:8082' }, 403],
    [{ Origin: 'http://localhost' }, 403],
    [{ Origin: 'http://localhost:8081.evil.example' }, 403],
    [{ Origin: 'http://localhost:8081@evil.example' }, 403],
    [{ Origin: 'null' }, 403],
    [{ Origin: '' }, 403],
    [{ Origin: 'file://' }, 403],
    [{ Origin: 'chrome-extension://localhost:8081' }, 403],
    [{ Origin: 'http://localhost:8081', 'Sec-Fetch-Site': 'same-site' }, 403],
    [{ Origin: 'http://localhost:8081', 'Sec-Fetch-Site': 'cross-site' }, 403],
    [{ 'Sec-Fetch-Site': 'cross-site' }, 403],
    [{ 'Sec-Fetch-Site': 'none' }, 403],
    [{ 'Sec-Fetch-Site': 'same-origin' }, 403],
  ])('a write with %o is answered with status %d', async (headers, status) => {
    const { ask, control } = await createTestAdmin()
    const response = await ask('put', '/contexts/catalog/freeze').set('Host', 'localhost:8081').set(headers)
    expect(response.status).toBe(status)
    expect(control.changeRequests).toHaveLength(status === 200 ? 1 : 0)
    if (status === 403) expect(response.body.code).toBe('foreign-origin')
  })

  test.each(WRITES)('cannot send $method $path', async ({ method, path }) => {
    const { ask, control } = await createTestAdmin()
    await ask(method, pathOf(path)).set('Origin', 'https://evil.example').expect(403)
    expect(control.changeRequests).toEqual([])
  })

  test('a write with two Origin fields is refused', async () => {
    const { port } = await startTestAdmin()
    const fields = `Host: localhost\r\nOrigin: http://localhost\r\nOrigin: https://evil.example\r\nAuthorization: Bearer ${TOKEN}`
    const { status } = await exchange(
      port,
      `PUT /api/v1/kill-switch HTTP/1.1\r\n${fields}\r\nContent-Length: 0\r\n\r\n`,
    )
    expect(status).toBe(403)
  })

  test('get no response header that lets a browser send or read', async () => {
    const { ask } = await createTestAdmin()
    for (const method of ['options', 'get', 'put'] as const) {
      const { headers } = await ask(method, '/kill-switch')
        .set('Origin', 'https://evil.example')
        .set('Access-Control-Request-Method', 'PUT')
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control-'))).toEqual([])
      expect(headers['cross-origin-resource-policy']).toBe('same-origin')
    }
  })
})

describe('a read changes nothing', () => {
  test.each(WRITES)('by GET, HEAD and X-HTTP-Method-Override at $method $path', async ({ method, path }) => {
    const { ask, control } = await createTestAdmin()
    const query = '?reason=x&percentage=5&_method=PUT'
    for (const look of ['get', 'head'] as const) {
      await ask(look, `${pathOf(path)}${query}`).set('X-HTTP-Method-Override', method.toUpperCase())
    }
    expect(control.changeRequests).toEqual([])
    expect(control.state().generation).toBe(0)
  })
})

describe('a body', () => {
  const FLAG = '/contexts/catalog/flag'

  async function put(body: string | Buffer, headers: Record<string, string> = {}, framing?: string) {
    const { port, control } = await startTestAdmin()
    const fields = {
      'Content-Type': 'application/json',
      Authorization: `Bearer ${TOKEN}`,
      Host: 'localhost',
      ...headers,
    }
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
    const head = `PUT /api/v1${FLAG} HTTP/1.1\r\n${lines.join('')}${framing ?? `Content-Length: ${Buffer.byteLength(body)}`}\r\n\r\n`
    const answer = await exchange(port, Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(body as string)]))
    const code = answer.body === '' ? undefined : (JSON.parse(answer.body) as { code?: string }).code
    return { status: answer.status, code, orders: control.changeRequests }
  }

  const ofBytes = (bytes: number) => `{"percentage":5${' '.repeat(bytes - 16)}}`.padEnd(bytes)
  const chunked = (text: string) => text.replace(/.{1,1000}/gs, (part) => `${part.length.toString(16)}\r\n${part}\r\n`)

  test.each([
    [MAX_BODY_BYTES, 200],
    [MAX_BODY_BYTES + 1, 413],
  ])('of %d bytes is answered with status %d, with and without chunks', async (bytes, status) => {
    const text = ofBytes(bytes)
    expect(Buffer.byteLength(text)).toBe(bytes)
    expect((await put(text)).status).toBe(status)
    expect((await put(`${chunked(text)}0\r\n\r\n`, {}, 'Transfer-Encoding: chunked')).status).toBe(status)
  })

  test.each([
    ['without end', 'Transfer-Encoding: chunked', chunked('x'.repeat(MAX_BODY_BYTES + 1))],
    ['with its length', 'Content-Length: 1000000000', ''],
  ])('that is too large, %s, is refused at once and not read further', async (_, framing, sent) => {
    const { port, control } = await startTestAdmin()
    const client = await connectRaw(port)
    const fields = `Host: localhost\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json`
    client.send(`PUT /api/v1${FLAG} HTTP/1.1\r\n${fields}\r\n${framing}\r\n\r\n${sent}`)
    expect(await client.receives('\r\n\r\n')).toMatch(/^HTTP\/1.1 413 .*\r\nConnection: close\r\n/s)
    await client.closes()
    expect(control.changeRequests).toEqual([])
  })

  test('without a token is refused before it has arrived', async () => {
    const { port } = await startTestAdmin()
    const client = await connectRaw(port)
    client.send(`PUT /api/v1${FLAG} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n`)
    expect(await client.receives('\r\n\r\n')).toMatch(/^HTTP\/1.1 401 .*\r\nConnection: close\r\n/s)
    await client.closes()
  })

  test.each<[string, Buffer, string, string]>([
    ['compressed', gzipSync('{"percentage":5}'), 'Content-Encoding: gzip', 'not-json-type'],
    ['of another coding', Buffer.from('{"percentage":5}'), 'Content-Encoding: aes128gcm', 'not-json-type'],
    ['a bomb', gzipSync('{"percentage":5}'.padEnd(10_000_000)), 'Content-Encoding: gzip', 'not-json-type'],
  ])('that is %s is refused', async (_, body, header, code) => {
    const [name = '', value = ''] = header.split(': ')
    expect(await put(body, { [name]: value })).toMatchObject({ status: 415, code, orders: [] })
  })

  test('with the transfer coding gzip is refused', async () => {
    const text = `${chunked('{"percentage":5}')}0\r\n\r\n`
    expect(await put(text, {}, 'Transfer-Encoding: gzip, chunked')).toMatchObject({ status: 415, orders: [] })
  })

  test.each<[string, number]>([
    ['application/json', 200],
    ['APPLICATION/JSON; charset=UTF-8', 200],
    ['application/json;charset="utf-8"', 200],
    ['application/json; charset=utf-16', 415],
    ['application/json; charset=utf-7', 415],
    ['application/json5', 415],
    ['application/problem+json', 415],
    ['text/plain', 415],
    ['text/json', 415],
    ['application/x-www-form-urlencoded', 415],
    ['multipart/form-data; boundary=a', 415],
    ['text/plain, application/json', 415],
    ['', 415],
  ])('of type %j is answered with status %d', async (type, status) => {
    const { status: answered, orders } = await put('{"percentage":5}', { 'Content-Type': type })
    expect(answered).toBe(status)
    expect(orders).toHaveLength(status === 200 ? 1 : 0)
  })

  const nested = (levels: number) => `{"percentage":${'['.repeat(levels)}5${']'.repeat(levels)}}`

  test.each<[string, string | Buffer, number, string]>([
    ['a name twice', '{"percentage":5,"percentage":100}', 400, 'not-json'],
    ['a name twice, once escaped', '{"percentage":5,"\\u0070ercentage":100}', 400, 'not-json'],
    ['a name twice, deeper', '{"percentage":5,"reason":{"a":1,"a":2}}', 400, 'not-json'],
    ['__proto__', '{"__proto__":{"percentage":5},"percentage":5}', 422, 'bad-body'],
    ['__proto__ alone', '{"__proto__":{"percentage":5}}', 422, 'bad-body'],
    ['constructor', '{"constructor":{"prototype":{"percentage":5}},"percentage":5}', 422, 'bad-body'],
    ['16 levels', nested(15), 422, 'bad-body'],
    ['17 levels', nested(16), 400, 'not-json'],
    ['ten thousand levels', nested(10_000), 400, 'not-json'],
    ['levels that are never closed', '['.repeat(60_000), 400, 'not-json'],
    ['an invalid UTF-8 byte', Buffer.from('{"percentage":5,"reason":"\xff"}', 'latin1'), 400, 'not-json'],
    ['an overlong UTF-8 sequence', Buffer.from('{"percentage":5,"reason":"\xc0\xaf"}', 'latin1'), 400, 'not-json'],
    ['half a character', '{"percentage":5,"reason":"\\ud800"}', 422, 'bad-body'],
    ['UTF-16', Buffer.from('{"percentage":5}', 'utf16le'), 400, 'not-json'],
    ['a byte order mark', '\ufeff{"percentage":5}', 400, 'not-json'],
    ['a missing end', '{"percentage":5', 400, 'not-json'],
    ['two values', '{"percentage":5}{"percentage":6}', 400, 'not-json'],
    ['a trailing comma', '{"percentage":5,}', 400, 'not-json'],
    ['NaN', '{"percentage":NaN}', 400, 'not-json'],
    ['text', '"percentage"', 422, 'bad-body'],
    ['null', 'null', 422, 'bad-body'],
    ['a list', '[{"percentage":5}]', 422, 'bad-body'],
    ['no percent', '{}', 422, 'bad-body'],
    ['12.5 %', '{"percentage":12.5}', 422, 'bad-body'],
    ['"25" %', '{"percentage":"25"}', 422, 'bad-body'],
    ['-1 %', '{"percentage":-1}', 422, 'bad-body'],
    ['101 %', '{"percentage":101}', 422, 'bad-body'],
    ['1e9 %', '{"percentage":1e9}', 422, 'bad-body'],
    ['1e999 %', '{"percentage":1e999}', 422, 'bad-body'],
    ['true %', '{"percentage":true}', 422, 'bad-body'],
    ['a reason of two lines', '{"percentage":5,"reason":"a\\nb"}', 422, 'bad-body'],
    ['a reason that drives a terminal', '{"percentage":5,"reason":"\\u001b[31mred"}', 422, 'bad-body'],
    ['a reason with an 8-bit control', '{"percentage":5,"reason":"\\u009b31mred"}', 422, 'bad-body'],
    ['a reason of 10 kB', `{"percentage":5,"reason":"${'x'.repeat(10_000)}"}`, 422, 'bad-body'],
  ])('with %s is refused', async (_, body, status, code) => {
    expect(await put(body)).toEqual({ status, code, orders: [] })
    expect(({} as { percentage?: number }).percentage).toBeUndefined()
  })

  test.each(['{"percentage":1e1}', '{"percentage": 10.0, "reason":"a \\"b: {[\\\\"}'])('%s sets 10 %', async (text) => {
    expect((await put(text)).status).toBe(200)
  })

  test.each(['get', 'delete'] as const)('with %s is refused', async (method) => {
    const { ask, control } = await createTestAdmin()
    const { body } = await ask(method, '/kill-switch').send({ reason: 'why' }).expect(400)
    expect(body.code).toBe('bad-request')
    expect(control.changeRequests).toEqual([])
  })
})
