// What a refused client reads: the rule that it broke, from a closed list, and nothing of what it sent.
import { describe, expect, it } from 'vitest'
import { REFUSAL_RULES } from '../../src/model/refusal-rules.ts'
import { read, section } from '../docs/markdown.ts'
import { startGateway } from '../kit/gateway.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { startRawOrigin } from '../kit/origin.ts'
import { connectRaw, exchange } from '../kit/raw.ts'
import { expectRefused, request, startTarget, targetOf, valuesOf } from './attack.ts'

const target = sharedByFile(() => startTarget())

describe('a refusal', () => {
  it.each<[string, string, number, string]>([
    ['garbage', 'garbage\r\n\r\n', 400, 'method'],
    ['RTSP', 'GET /sent-by-the-client RTSP/1.0\r\nHost: a\r\n\r\n', 400, 'protocol'],
    ['RTSP OPTIONS', 'OPTIONS * RTSP/1.0\r\nHost: a\r\n\r\n', 400, 'protocol'],
    ['RTSP DESCRIBE', 'DESCRIBE /x RTSP/1.0\r\nHost: a\r\n\r\n', 400, 'protocol'],
    ['RTSP/2.0', 'GET / RTSP/2.0\r\nHost: a\r\n\r\n', 400, 'protocol'],
    ['ICE', 'SOURCE /x ICE/1.0\r\nHost: a\r\n\r\n', 400, 'protocol'],
    ['an unknown protocol', 'GET / FOO/1.1\r\nHost: a\r\n\r\n', 400, 'protocol'],
    ['HTTP/2.0', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', 400, 'protocol'],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400, 'host'],
    ['another host', request('GET http://sent-by-the-client/'), 400, 'target-form'],
    ['a backslash', request('GET /sent-by-the-client\\'), 400, 'path-characters'],
    ['an escaped NUL', request('GET /sent-by-the-client%00'), 400, 'path-escapes'],
    ['an escape of escapes', request('GET /sent-by-the-client/%%32e'), 400, 'path-escapes'],
    ['dots in disguise', request('GET /sent-by-the-client/..;/x'), 400, 'dot-segments'],
    ['an encoded slash', request('GET /sent-by-the-client%2fx'), 400, 'encoded-slash'],
    ['two lengths', request('POST /', ['Content-Length: 1', 'Content-Length: 2'], 'x'), 400, 'framing'],
    [
      'an unknown coding',
      request('POST /', ['Transfer-Encoding: sent-by-the-client'], '0\r\n\r\n'),
      501,
      'transfer-coding',
    ],
    [
      'an unknown coding before chunks',
      request('POST /', ['Transfer-Encoding: x, chunked'], '0\r\n\r\n'),
      501,
      'transfer-coding',
    ],
    ['Max-Forwards', request('OPTIONS /', ['Max-Forwards: sent-by-the-client']), 400, 'header-value'],
    ['TRACE', request('TRACE /sent-by-the-client'), 405, 'method'],
    ['an expectation', request('GET /', ['Expect: sent-by-the-client']), 417, 'expectation'],
    ['a long target', request(`GET /${'sent-by-the-client'.repeat(800)}`), 414, 'target-size'],
    [
      'many headers',
      request(
        'GET /',
        Array.from({ length: 300 }, () => 'X: sent-by-the-client'),
      ),
      431,
      'header-size',
    ],
  ])('of %s names its rule and does not repeat the input', async (_, bytes, status, rule) => {
    const response = await expectRefused(target(), bytes, status)
    expect(JSON.parse(response.body)).toEqual({
      type: 'about:blank',
      title: expect.any(String),
      status,
      rule,
      requestId: expect.stringMatching(/^[0-9a-f]{32}$/),
    })
    expect(REFUSAL_RULES).toContain(rule)
    expect(response.head + response.body).not.toContain('sent-by-the-client')
  })

  it('names only rules that docs/security.md explains', () => {
    const table = section(read('docs/security.md'), 'Rules that a refusal names')
    const explained = [...table.matchAll(/^\| `([a-z-]+)`/gm)].map(([, rule]) => rule)
    expect(explained.filter((rule) => rule !== 'rule')).toEqual([...REFUSAL_RULES])
  })

  it('of RTSP does not affect the HTTP request before it, which is answered', async () => {
    const { response, heads } = await target().attack(`${request('GET /good')}OPTIONS / RTSP/1.0\r\nHost: a\r\n\r\n`)
    expect(response.status).toBe(200)
    expect(heads.map(targetOf)).toEqual(['/good'])
  })

  it('does not apply to HTTP/1.0 with RTSP in its fields', async () => {
    const { response } = await target().attack('GET / HTTP/1.0\r\nHost: a\r\nX: GET / RTSP/1.0\r\n\r\n')
    expect(response.status).toBe(200)
  })
})

describe('allowEncodedSlashes of a route', () => {
  it('allows its paths on both sides, and no other path', async () => {
    const [legacy, service] = [await startRawOrigin(), await startRawOrigin()]
    const gateway = await startGateway(
      {
        legacy: { url: legacy.url },
        services: { npm: { url: service.url } },
        contexts: {
          npm: {
            owner: 'team',
            service: 'npm',
            flag: 'npm',
            routes: [{ path: '/:package', allowEncodedSlashes: true }, '/other/*'],
          },
        },
        identity: { anonymous: 'ip' },
      },
      { percentages: { npm: 100 } },
    )
    const put = (path: string) => exchange(gateway.port, request(`PUT ${path}`, ['Content-Length: 2'], '{}'))
    expect((await put('/@a%2fb')).status).toBe(200)
    await gateway.setFlags({ npm: 0 })
    expect((await put('/@a%2fb')).status).toBe(200)
    expect((await put('/other/@a%2fb')).status).toBe(400)
    expect((await put('/..%2fb')).status).toBe(400)
    expect(service.heads().map(targetOf)).toEqual(['/@a%2Fb'])
    expect(legacy.heads().map(targetOf)).toEqual(['/@a%2Fb'])
  })

  it('refuses with false a path that the service accepts on other routes', async () => {
    const origin = await startRawOrigin()
    const gateway = await startGateway(
      {
        legacy: { url: origin.url },
        services: { files: { url: origin.url, allowEncodedSlashes: true } },
        contexts: {
          files: {
            owner: 'team',
            service: 'files',
            flag: 'files',
            routes: [{ path: '/strict/*', allowEncodedSlashes: false }, '/files/*'],
          },
        },
        identity: { anonymous: 'ip' },
      },
      { percentages: { files: 100 } },
    )
    expect((await exchange(gateway.port, request('GET /files/a%2fb'))).status).toBe(200)
    expect((await exchange(gateway.port, request('GET /strict/a%2fb'))).status).toBe(400)
  })

  it('allows the fallback of a read to legacy', async () => {
    const legacy = await startRawOrigin()
    const service = await startRawOrigin((socket) => void socket.destroy())
    const gateway = await startGateway(
      {
        legacy: { url: legacy.url },
        services: { npm: { url: service.url } },
        contexts: {
          npm: {
            owner: 'team',
            service: 'npm',
            flag: 'npm',
            routes: [{ path: '/:package', allowEncodedSlashes: true }],
          },
        },
        identity: { anonymous: 'ip' },
      },
      { percentages: { npm: 100 } },
    )
    expect((await exchange(gateway.port, request('GET /@a%2fb'))).status).toBe(200)
    expect(legacy.heads().map(targetOf)).toEqual(['/@a%2Fb'])
  })

  it('allows a WebSocket', async () => {
    const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'
    const origin = await startRawOrigin(switched)
    const route = { path: '/live/:room', upgrade: true, allowEncodedSlashes: true }
    const gateway = await startGateway(
      {
        legacy: { url: origin.url },
        services: { live: { url: origin.url } },
        contexts: { live: { owner: 'team', service: 'live', flag: 'live', routes: [route] } },
        identity: { anonymous: 'ip' },
      },
      { percentages: { live: 100 } },
    )
    const handshake = [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ]
    const client = await connectRaw(gateway.port)
    client.send(request('GET /live/a%2fb', handshake))
    await client.receives('HTTP/1.1 101 ')
    client.destroy()
    expect(origin.heads().map(targetOf)).toEqual(['/live/a%2Fb'])
  })
})

describe('a WebSocket handshake with a bad version', () => {
  it('is forwarded with its Sec-WebSocket fields, and the client receives the versions of the origin', async () => {
    const answer =
      'HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n'
    const { gateway, origin } = await startTarget({ script: answer })
    const fields = [
      'Sec-WebSocket-Version: 99',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Protocol: x',
    ]
    const response = await exchange(
      gateway.port,
      request('GET /live', ['Connection: Upgrade', 'Upgrade: websocket', ...fields]),
    )
    expect(response.status).toBe(426)
    expect(valuesOf(response.head, 'sec-websocket-version')).toEqual(['13'])
    const [head = ''] = origin.heads()
    for (const field of fields) expect(head).toContain(`${field}\r\n`)
    expect(head).not.toMatch(/\r\nupgrade:/i)
    expect(await gateway.metric('strangler_upgrades_total')).toBe(0)
  })
})
