// Upgrades: a tunnel is a hole in every check that follows, so only a WebSocket that both ends agreed on opens one.
import { describe, expect, it } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { sharedByFile } from '../kit/lifetime.ts'
import { type Script, startRawOrigin } from '../kit/origin.ts'
import { connectRaw, parse } from '../kit/raw.ts'
import { expectRefused, knock, request, startTarget, targetOf, valuesOf } from './attack.ts'

const SWITCH =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Switches at /live, answers 200 with an Upgrade field at /refuses, and is a plain server elsewhere. */
const script: Script = (socket, seen) => {
  const head = seen.toString('latin1')
  if (head.includes('GET /live') && /\r\nupgrade: websocket/i.test(head)) {
    socket.write(SWITCH)
    socket.on('data', (chunk: Buffer) => void socket.write(`echo:${chunk.toString('latin1')}`))
  } else if (head.includes('GET /refuses')) {
    socket.write('HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno')
  } else {
    socket.write(OK)
  }
}

const shop = sharedByFile(async () => {
  const [legacy, service] = [await startRawOrigin(script), await startRawOrigin(script)]
  const gateway = await startGateway(
    {
      legacy: { url: legacy.url },
      services: { live: { url: service.url } },
      contexts: {
        live: {
          owner: 'team',
          service: 'live',
          flag: 'live',
          routes: [
            { path: '/live', upgrade: true },
            { path: '/live/*', upgrade: true },
            { path: '/refuses', upgrade: true },
            { path: '/no-upgrades' },
          ],
        },
      },
      identity: { anonymous: 'ip' },
    },
    { percentages: { live: 100 } },
  )
  return { gateway, legacy, service }
})

const plain = sharedByFile(() => startTarget())

const HANDSHAKE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
]
const without = (name: string) => HANDSHAKE.filter((line) => !line.startsWith(`${name}:`))

/** The heads that these bytes make the service see, and what the client got. */
async function upgrade(bytes: string, then: (client: Awaited<ReturnType<typeof connectRaw>>) => Promise<unknown>) {
  const { gateway, service } = shop()
  const earlier = service.connections.length
  const beforeHeads = service.heads().length
  const client = await connectRaw(gateway.port)
  client.send(bytes)
  await then(client)
  client.destroy()
  await knock(gateway)
  const seen = service.connections.slice(earlier).map((connection) => connection.bytes.toString('latin1'))
  return { text: client.received(), heads: service.heads().slice(beforeHeads), seen: seen.join('\n---\n') }
}

describe('a WebSocket', () => {
  it('is forwarded to the chosen side, with the normal path, the fields of the edge and no forged field', async () => {
    const forged = [
      'X-Forwarded-For: 6.6.6.6',
      'X-User-Id: mallory',
      'X_User_Id: mallory',
      'Proxy-Authorization: x',
      '__proto__: 1',
      '__proto__: 2',
    ]
    const bytes = request('GET //x/../live', [...HANDSHAKE, ...forged, 'Cookie: a=1', 'Cookie: b=2'])
    const { heads } = await upgrade(bytes, async (client) => {
      await client.receives('HTTP/1.1 101 ')
      client.send('hello')
      await client.receives('echo:hello')
    })
    expect(heads.map(targetOf)).toEqual(['/live'])
    const head = heads[0] as string
    expect(head).not.toMatch(/mallory|6\.6\.6\.6|__proto__|proxy-authorization/i)
    expect(valuesOf(head, 'x-forwarded-for')).toEqual(['127.0.0.1'])
    expect(valuesOf(head, 'upgrade')).toEqual(['websocket'])
    expect(valuesOf(head, 'via')).toHaveLength(1)
  })

  it.each<[string, string, number]>([
    ['two Hosts', `GET /live HTTP/1.1\r\nHost: a\r\nHost: b\r\n${HANDSHAKE.join('\r\n')}\r\n\r\n`, 400],
    ['no Host', `GET /live HTTP/1.1\r\n${HANDSHAKE.join('\r\n')}\r\n\r\n`, 400],
    ['an encoded slash', request('GET /live/a%2fb', HANDSHAKE), 400],
    ['a disguised dot segment', request('GET /live/..;/x', HANDSHAKE), 400],
    ['an encoded NUL', request('GET /live/%00', HANDSHAKE), 400],
    [
      'both lengths',
      request('GET /live', [...HANDSHAKE, 'Content-Length: 1', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
      400,
    ],
    ['an unknown expectation', request('GET /live', [...HANDSHAKE, 'Expect: x']), 417],
    ['absolute-form of another host', request('GET http://evil/live', HANDSHAKE), 400],
  ])('with %s is refused', async (_, bytes, status) => {
    const { text, heads } = await upgrade(bytes, (client) => client.closes())
    expect(parse(text, true).status).toBe(status)
    expect(heads).toEqual([])
  })
})

describe('B25 an invalid upgrade gets a plain response, the connection closes, and no tunnel opens:', () => {
  const SECOND = request('GET /second', ['Connection: close'])

  it.each<[string, string]>([
    ['no Connection', request('GET /live', without('Connection'))],
    ['Connection: keep-alive', request('GET /live', ['Connection: keep-alive', ...without('Connection')])],
    ['no key', request('GET /live', without('Sec-WebSocket-Key'))],
    ['a bad key', request('GET /live', [...without('Sec-WebSocket-Key'), 'Sec-WebSocket-Key: short'])],
    ['two keys', request('GET /live', [...HANDSHAKE, 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='])],
    ['version 99', request('GET /live', [...without('Sec-WebSocket-Version'), 'Sec-WebSocket-Version: 99'])],
    ['no version', request('GET /live', without('Sec-WebSocket-Version'))],
    ['POST', request('POST /live', [...HANDSHAKE, 'Content-Length: 0'])],
    ['POST without a body', request('POST /live', HANDSHAKE)],
    ['another protocol', request('GET /live', [...without('Upgrade'), 'Upgrade: tcp'])],
    ['two protocols', request('GET /live', [...without('Upgrade'), 'Upgrade: websocket, tcp'])],
    ['a route without upgrades', request('GET /no-upgrades', HANDSHAKE)],
    ['a body', request('GET /live', [...HANDSHAKE, 'Content-Length: 5'], 'hello')],
    ['a chunked body', request('GET /live', [...HANDSHAKE, 'Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n')],
  ])('%s', async (_, bytes) => {
    const { text, heads, seen } = await upgrade(bytes + SECOND, (client) => client.closes())
    expect(text).toMatch(/^HTTP\/1\.1 200 /)
    expect(text).not.toContain('101 Switching')
    expect(text).not.toContain('echo:')
    expect(heads.join('')).not.toMatch(/\r\nupgrade:/i)
    expect(seen).not.toContain('/second')
  })

  it('a pipelined request before it is answered first', async () => {
    const { text, seen } = await upgrade(request('GET /live/first') + request('GET /live', HANDSHAKE), (client) =>
      client.closes(),
    )
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200'])
    expect(seen).not.toMatch(/\r\nupgrade:/i)
  })

  it('HTTP/1.0', async () => {
    const bytes = `GET /live HTTP/1.0\r\nHost: a\r\n${HANDSHAKE.join('\r\n')}\r\n\r\n`
    const { text, heads } = await upgrade(bytes, (client) => client.closes())
    expect(text).not.toContain('101 Switching')
    expect(heads.join('')).not.toMatch(/\r\nupgrade:/i)
  })

  it('after a 200 with an Upgrade field of the origin (CVE-2024-23326), later bytes are discarded', async () => {
    const bytes = request('GET /refuses', HANDSHAKE)
    const { text, seen, heads } = await upgrade(`${bytes}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`, async (client) => {
      await client.closes()
    })
    expect(text).toMatch(/^HTTP\/1\.1 200 /)
    expect(text).not.toContain('101')
    expect(text).not.toMatch(/\r\nupgrade:/i)
    expect(heads).toHaveLength(1)
    expect(seen).not.toContain('/smuggled')
  })
})

describe('B26 the gateway does not leave HTTP/1.1 for', () => {
  it.each<[string, string, number[]]>([
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00', [400]],
    ['PRI as a method', request('PRI /'), [400, 405]],
    ['CONNECT', 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n', [405]],
  ])('%s', async (_, bytes, statuses) => {
    await expectRefused(plain(), bytes, statuses)
  })

  it('a CONNECT after a valid request, which is answered', async () => {
    const { response, heads } = await plain().attack(
      `${request('GET /good')}CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n`,
    )
    expect(response.status).toBe(200)
    expect(heads).toHaveLength(1)
  })
})

describe('B26 an upgrade to h2c or TLS is ignored (RFC 9110 section 7.8):', () => {
  const H2C = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']

  it.each<[string, string]>([
    // The exact bytes of Java's HttpClient and of curl --http2.
    [
      'of Java',
      'GET /x HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: a\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\n\r\n',
    ],
    [
      'of Java with a body',
      'POST /x HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 5\r\nHost: a\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\nUser-Agent: Java-http-client/17.0.15\r\n\r\nhello',
    ],
    [
      'of curl',
      'GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n',
    ],
    ['without settings', request('GET /x', ['Connection: Upgrade', 'Upgrade: h2c'])],
    ['in other case', request('GET /x', ['connection: upgrade', 'upgrade: H2C'])],
    ['together with websocket', request('GET /x', ['Connection: Upgrade', 'Upgrade: websocket, h2c'])],
    ['with HTTP2-Settings alone', request('GET /x', ['HTTP2-Settings: AAMAAABkAAQAAP__'])],
    ['with chunks', request('POST /x', [...H2C, 'Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\n\r\n')],
    ['with an expectation', request('POST /x', [...H2C, 'Expect: 100-continue', 'Content-Length: 5'], 'hello')],
    ['to TLS', request('GET /x', ['Connection: Upgrade', 'Upgrade: TLS/1.2'])],
  ])('%s', async (_, bytes) => {
    const { response, heads } = await plain().attack(bytes)
    expect(response.head).toMatch(/^HTTP\/1\.1 (?:200|100) /)
    expect(heads.map(targetOf)).toEqual(['/x'])
    const [head = ''] = heads
    expect(head).not.toMatch(/\r\n(?:upgrade|http2-settings):/i)
    expect(valuesOf(head, 'connection').join()).not.toMatch(/upgrade|settings/i)
  })

  it('its body reaches the origin completely', async () => {
    const { gateway, origin } = plain()
    const client = await connectRaw(gateway.port)
    client.send(request('POST /body', [...H2C, 'Content-Length: 5'], 'hello'))
    await client.closes()
    expect(origin.connections.some(({ bytes }) => bytes.toString('latin1').endsWith('\r\n\r\nhello'))).toBe(true)
  })

  it('on a route with WebSockets it opens no tunnel, and the bytes after it are discarded', async () => {
    const bytes = request('GET /live', [...H2C, 'Sec-WebSocket-Version: 13'])
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
    const { text, seen } = await upgrade(bytes + preface, (client) => client.closes())
    expect(text).toMatch(/^HTTP\/1\.1 200 /)
    expect(seen).not.toContain('PRI *')
  })

  it('a 101 of the origin is answered 502, and no tunnel opens', async () => {
    const target = await startTarget({
      script: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
    })
    const client = await connectRaw(target.gateway.port)
    client.send(request('GET /x', H2C))
    await client.receives('"status":502')
    client.send('tunnelled')
    client.destroy()
    expect(target.origin.connections.map(({ bytes }) => bytes.toString('latin1')).join()).not.toContain('tunnelled')
    expect(await target.gateway.metric('strangler_upgrades_total')).toBe(0)
  })
})
