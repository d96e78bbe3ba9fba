// The bounds of an attack while it lasts: on memory (B14), on the delay of other clients (B33), and
// no connection for longer than it is worth. The gateway has a process of its own, so that only it is measured.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { sendRequest } from '../kit/load.ts'
import { OK, startHttpOrigin, startRawOrigin } from '../kit/origin.ts'
import { type GatewayProcess, startGatewayProcess } from '../kit/process.ts'
import { connectRaw } from '../kit/raw.ts'
import { type Answer, startScriptedOrigin } from '../kit/scripted.ts'
import { until } from '../kit/until.ts'
import { request } from './attack.ts'

const MIB = 1024 * 1024
const DRAIN = { drain: { noticeMs: 0, limitMs: 1000 } }

/** The most memory that a process ever had. */
async function mostMemory({ pid }: GatewayProcess): Promise<number> {
  return Number(/VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
}

/** Does it once for the memory that any work takes, and then again: bytes that the rounds behind the first added. */
async function addedByRepeating(gateway: GatewayProcess, times: number, attack: () => Promise<void>): Promise<number> {
  await attack()
  const bytesBefore = await mostMemory(gateway)
  for (let i = 0; i < times; i++) await attack()
  return (await mostMemory(gateway)) - bytesBefore
}

describe('the memory of the gateway stays bounded (B14)', () => {
  it('while clients send large chunk extensions', async () => {
    const bodies = [
      `5;${'a'.repeat(65_536)}\r\nhello\r\n0\r\n\r\n`,
      `5;${'a'.repeat(8 * MIB)}`,
      `${`1;${'a'.repeat(1000)}\r\nx\r\n`.repeat(10_000)}5;\0`,
      `5;a=\0${'b'.repeat(60_000)}`,
      `5;a="${'b'.repeat(60_000)}\r\n`,
    ].map((body) => Buffer.from(body))
    const origin = await startRawOrigin(() => {})
    const gateway = await startGatewayProcess({ legacy: { url: origin.url }, ...DRAIN })
    const attack = async () => {
      const clients = await Promise.all(
        Array.from({ length: 4 }, () => bodies)
          .flat()
          .map(async (body) => {
            const client = await connectRaw(gateway.port)
            client.send(request('POST /', ['Transfer-Encoding: chunked']))
            client.send(body)
            return client
          }),
      )
      // A client that is still sending megabytes may be reset before it reads the answer.
      for (const client of clients) expect(await client.closes()).toMatch(/^(?:HTTP\/1\.1 (?:400|413) |$)/)
    }
    expect(await addedByRepeating(gateway, 3, attack)).toBeLessThan(24 * MIB)
    expect(await gateway.metric('strangler_bugs_total')).toBe(0)
    expect(origin.connections.every(({ bytes }) => !bytes.includes('a'.repeat(100)))).toBe(true)
  })

  it('while an origin sends an endless response', async () => {
    const begun: Record<string, string> = {
      '/extension': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;',
      '/trailers': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ',
      '/head': 'HTTP/1.1 200 OK\r\nX: ',
      '/status': 'HTTP/1.1 200 ',
    }
    const piece = Buffer.alloc(MIB, 'a')
    const pour: Answer = (socket, head) => {
      let left = 24
      const more = () => {
        if (left-- > 0 && !socket.destroyed) socket.write(piece, more)
      }
      socket.write(begun[head.split(' ')[1] ?? ''] ?? '', more)
    }
    const origin = await startScriptedOrigin(Object.fromEntries(Object.keys(begun).map((path) => [path, pour])))
    const gateway = await startGatewayProcess({
      legacy: { url: origin.url },
      ejection: { consecutiveFailures: 1000 },
      ...DRAIN,
    })
    const attack = async () => {
      const paths = Object.keys(begun).flatMap((path) => [path, path])
      const answers = await Promise.all(paths.map((path) => sendRequest({ port: gateway.port, path, method: 'POST' })))
      for (const { status, error } of answers) expect(status === 502 || error !== undefined).toBe(true)
    }
    expect(await addedByRepeating(gateway, 3, attack)).toBeLessThan(24 * MIB)
    expect(await gateway.metric('strangler_bugs_total')).toBe(0)
  })
})

describe('the event loop of the gateway is delayed by less than 50 ms (B33)', () => {
  const MOST_LATE_SECONDS = 0.05

  /**
   * The latest that the loop was while an attack went on, in seconds, in the best of a few rounds: a busy machine makes
   * any process late now and then, and an attack that works does so each time.
   */
  async function lateBy({ adminPort }: GatewayProcess, attack: () => Promise<void>): Promise<number> {
    const most = async () => {
      let seconds: string | undefined
      // The metric is missing until it was measured again.
      await until(async () => {
        const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
        seconds = /event_loop_delay_seconds\{quantile="1"\} (.*)/.exec(text)?.[1]
        return seconds !== undefined
      })
      return Number(seconds)
    }
    const rounds: number[] = []
    for (let round = 0; round < 3; round++) {
      await most()
      for (let i = 0; i < 2; i++) await attack()
      rounds.push(await most())
    }
    return Math.min(...rounds)
  }

  it('while it forwards gzip bombs', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * MIB))
    const origin = await startHttpOrigin((incoming, response) => {
      const hash = createHash('sha256')
      incoming.on('data', (chunk) => hash.update(chunk))
      incoming.on('end', () => {
        response.setHeader('Content-Encoding', 'gzip')
        response.setHeader('X-Digest', hash.digest('hex'))
        response.end(bomb)
      })
    })
    const gateway = await startGatewayProcess({ legacy: { url: origin.url }, ...DRAIN })
    const digest = createHash('sha256').update(bomb).digest('hex')
    const headers = { 'content-encoding': 'gzip' }
    const attack = async () => {
      const bombs = Array.from({ length: 10 }, () =>
        sendRequest({ port: gateway.port, method: 'POST', headers, body: bomb }),
      )
      for (const answer of await Promise.all(bombs)) {
        expect([answer.status, answer.headers['x-digest'], answer.body.length]).toEqual([200, digest, bomb.length])
      }
    }
    expect(await lateBy(gateway, attack)).toBeLessThan(MOST_LATE_SECONDS)
  })

  it('while an authenticated caller sends JSON with a million levels to the admin API', async () => {
    const origin = await startRawOrigin()
    const gateway = await startGatewayProcess({ legacy: { url: origin.url }, ...DRAIN })
    const token = (await readFile(join(gateway.folder, 'state', 'admin-token'), 'utf8')).trim()
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const put = (body: string) =>
      sendRequest({ port: gateway.adminPort, path: '/api/v1/kill-switch', method: 'PUT', headers, body })
    const attack = async () => {
      const tooLarge = [put('['.repeat(1_000_000)), put('{"a":'.repeat(1_000_000))]
      const tooDeep = [put('['.repeat(65_536)), put('{"a":'.repeat(13_000)), put('["'.repeat(30_000))]
      // The gateway may also close the connection before a body above the limit was sent completely.
      for (const { status } of await Promise.all(tooLarge)) expect([413, 0]).toContain(status)
      for (const { status } of await Promise.all(tooDeep)) expect(status).toBe(400)
    }
    expect(await lateBy(gateway, attack)).toBeLessThan(MOST_LATE_SECONDS)
    expect(await gateway.readyz()).toBe(200)
  })
})

describe('OPTIONS *, which the gateway answers itself,', () => {
  it('with a slow body is answered, cut within a few seconds, and never forwarded', async () => {
    const origin = await startRawOrigin(OK)
    const gateway = await startGateway({ legacy: { url: origin.url } })
    const startedAt = performance.now()
    const framings = ['Content-Length: 100000', 'Transfer-Encoding: chunked']
    const clients = await Promise.all(
      framings.map(async (framing) => {
        const client = await connectRaw(gateway.port)
        client.send(request('OPTIONS *', [framing]))
        const drip = setInterval(() => client.send(framing.startsWith('C') ? 'x' : '1\r\nx\r\n'), 20)
        onTestFinished(() => clearInterval(drip))
        return client
      }),
    )
    for (const client of clients) expect(await client.closes()).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(performance.now() - startedAt).toBeLessThan(5000)
    expect(origin.requests()).toBe(0)
    await until(async () => (await gateway.metric('strangler_requests_in_flight')) === 0)
    expect(await gateway.accessLog()).toHaveLength(2)
  })
})
