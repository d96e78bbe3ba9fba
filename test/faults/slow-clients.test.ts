// Clients that are slow on purpose hold a connection for a limited time, and other clients are not delayed.
import net, { type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { expectCalm } from '../kit/calm.ts'
import { startGateway } from '../kit/gateway.ts'
import { type Answer, quantile, startLoad } from '../kit/load.ts'
import { startHttpOrigin } from '../kit/origin.ts'
import { startGatewayProcess } from '../kit/process.ts'
import { connectRaw } from '../kit/raw.ts'
import { until } from '../kit/until.ts'

type Attacker = { readonly socket: Socket; received: string; closedAfterMs: number | undefined }

/** Opens many connections and passes each to `attack`; the responses are collected or left unread. */
async function attackWith(count: number, port: number, attack: (socket: Socket) => void, { reads = true } = {}) {
  const attackers: Attacker[] = []
  onTestFinished(() => {
    for (const { socket } of attackers) socket.destroy()
  })
  await Promise.all(
    Array.from({ length: count }, () => {
      const socket = net.connect(port, '127.0.0.1')
      const attacker: Attacker = { socket, received: '', closedAfterMs: undefined }
      attackers.push(attacker)
      socket.on('error', () => {})
      if (reads) {
        socket.on('data', (chunk) => {
          attacker.received += chunk.toString('latin1')
        })
      }
      return new Promise<void>((resolve) =>
        socket.once('connect', () => {
          const startedAt = performance.now()
          socket.once('close', () => {
            attacker.closedAfterMs = performance.now() - startedAt
          })
          attack(socket)
          resolve()
        }),
      )
    }),
  )
  return attackers
}

/** Writes a piece at an interval while the socket takes it. */
function drip(socket: Socket, piece: string, everyMs: number): void {
  const timer = setInterval(() => (socket.writable ? socket.write(piece) : clearInterval(timer)), everyMs)
  socket.once('close', () => clearInterval(timer))
  onTestFinished(() => clearInterval(timer))
}

function allClosed(attackers: readonly Attacker[]): Promise<void> {
  return until(() => attackers.every(({ closedAfterMs }) => closedAfterMs !== undefined), 15_000)
}

function longestMs(attackers: readonly Attacker[]): number {
  return Math.max(...attackers.map(({ closedAfterMs = Number.POSITIVE_INFINITY }) => closedAfterMs))
}

const LIMITS = { headersMs: 1500, clientIdleMs: 1500, minimumRate: 200, rateGraceMs: 1500 }
/** The limit, a second to notice it, and the delay of a busy machine. */
const LATEST_MS = 1500 + 1000 + 800
const BIG = Buffer.alloc(16 * 1_048_576)

function startOrigin() {
  return startHttpOrigin((request, response) => {
    request.resume().on('end', () => response.end(request.url === '/big' ? BIG : 'ok'))
  })
}

const p99 = (answers: readonly Answer[]) =>
  quantile(
    answers.map(({ tookMs }) => tookMs),
    0.99,
  )

describe('a few hundred slow clients at a time (F10)', () => {
  it('are all cut in time, in each way of being slow, and a normal client is not delayed', async () => {
    const origin = await startOrigin()
    const gateway = await startGatewayProcess({
      legacy: { url: origin.url, connections: 512 },
      limits: { ...LIMITS, uploadsPerClient: 256 },
      drain: { noticeMs: 0, limitMs: 1000 },
    })
    const files = await gateway.openFiles()
    let [quietMs, attackedMs] = [0, Number.POSITIVE_INFINITY]
    // Other programs on this machine may delay a single run. A client that attackers delay is delayed in each run.
    for (let round = 0; round < 3 && attackedMs >= Math.max(150, 2 * quietMs); round++) {
      const loadBefore = startLoad(4, () => ({ port: gateway.port }))
      await until(() => loadBefore.answers.length >= 400)
      quietMs = p99((await loadBefore.stop()).answers)

      const load = startLoad(4, () => ({ port: gateway.port }))
      const slowHead = await attackWith(200, gateway.port, (socket) => {
        socket.write('GET / HTTP/1.1\r\nHost: a\r\n')
        drip(socket, 'X-A: b\r\n', 300)
      })
      const slowBody = await attackWith(150, gateway.port, (socket) => {
        socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n')
        drip(socket, 'x', 300)
      })
      const silentBody = await attackWith(50, gateway.port, (socket) => {
        socket.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel')
      })
      await allClosed([...slowHead, ...slowBody, ...silentBody])
      const { answers, failed } = await load.stop()

      for (const attackers of [slowHead, slowBody, silentBody]) {
        expect(longestMs(attackers)).toBeLessThan(LATEST_MS)
        for (const { received } of attackers)
          expect(received).toMatch(/^HTTP\/1\.1 408 (?:.*\r\n)*connection: close\r\n/i)
      }
      expect(failed).toEqual([])
      expect(answers.length).toBeGreaterThan(200)
      attackedMs = p99(answers)
    }
    expect(attackedMs).toBeLessThan(Math.max(150, 2 * quietMs))
    await expectCalm(gateway)
    await until(async () => (await gateway.openFiles()) <= files + 8)
    expect(gateway.log()).not.toMatch(/[Uu]nhandled|uncaught/)
  })

  it('that do not read their response are cut too', async () => {
    const origin = await startOrigin()
    const gateway = await startGateway({ legacy: { url: origin.url }, limits: LIMITS })
    const attackers = await attackWith(
      20,
      gateway.port,
      (socket) => void socket.write('GET /big HTTP/1.1\r\nHost: a\r\n\r\n'),
      { reads: false },
    )
    const startedAt = performance.now()
    // A socket that reads nothing does not notice that it was closed, so the test asks the gateway.
    await until(async () => (await gateway.metric('strangler_requests_in_flight')) === 20)
    await until(async () => (await gateway.metric('strangler_requests_in_flight')) === 0)
    expect(performance.now() - startedAt).toBeLessThan(LATEST_MS + 500)
    for (const { socket } of attackers) socket.destroy()
    expect(await gateway.accessLine(({ path }) => path === '/big')).toMatchObject({ failure: 'client-gone' })
    await expectCalm(gateway)
  })

  it('that do not read over HTTP/1.0 are reset, because a close would mark the cut response as complete', async () => {
    const origin = await startOrigin()
    const gateway = await startGateway({ legacy: { url: origin.url }, limits: LIMITS })
    const client = await connectRaw(gateway.port)
    let code: string | undefined
    client.socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code
    })
    client.socket.pause()
    client.send('GET /big HTTP/1.0\r\nHost: a\r\n\r\n')
    await gateway.accessLine(({ failure }) => failure === 'client-gone')
    client.socket.resume()
    await client.closes()
    expect(code).toBe('ECONNRESET')
    await expectCalm(gateway)
  })

  it('that send fast at first and then slowly are cut when their credit is used up', async () => {
    const origin = await startOrigin()
    const gateway = await startGateway({
      legacy: { url: origin.url },
      limits: { ...LIMITS, minimumRate: 1000, rateGraceMs: 500 },
    })
    const [attacker] = await attackWith(1, gateway.port, (socket) => {
      socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(2000)}`)
      drip(socket, 'x', 200)
    })
    await allClosed([attacker as Attacker])
    // 2,000 bytes at 1,000 bytes a second take two seconds, plus the grace.
    expect((attacker as Attacker).closedAfterMs).toBeGreaterThan(2000)
    expect((attacker as Attacker).closedAfterMs).toBeLessThan(2500 + 1000 + 800)
  })
})

describe('a client that is slow but not too slow', () => {
  it('sends its body and gets its response', async () => {
    const origin = await startOrigin()
    const gateway = await startGateway({ legacy: { url: origin.url }, limits: LIMITS })
    const [client] = await attackWith(1, gateway.port, (socket) => {
      socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1500\r\n\r\n')
      drip(socket, 'x'.repeat(100), 200)
    })
    await until(() => (client as Attacker).received.includes('ok'))
    expect((client as Attacker).received).toMatch(/^HTTP\/1\.1 200 /)
  })
})

describe('many clients that read and send slowly (F11)', () => {
  it('cost a bounded amount of memory each, and the upstream is slowed down', async () => {
    let sent = 0
    const size = 32 * 1_048_576
    const chunk = Buffer.alloc(64 * 1024)
    const origin = await startHttpOrigin((request, response) => {
      request.resume()
      if (request.method === 'POST') return void request.on('end', () => response.end('ok'))
      response.writeHead(200, { 'content-length': size })
      const push = () => {
        while (response.write(chunk)) sent += chunk.length
        sent += chunk.length
      }
      response.on('drain', push)
      push()
    })
    const gateway = await startGatewayProcess({
      legacy: { url: origin.url, connections: 512 },
      drain: { noticeMs: 0, limitMs: 500 },
    })
    const warmUp = startLoad(8, () => ({ port: gateway.port, method: 'POST', body: 'x' }), 0)
    await until(() => warmUp.answers.length > 3000)
    await warmUp.stop()
    const memoryBefore = await gateway.memory()
    const readers = await attackWith(
      60,
      gateway.port,
      (socket) => {
        socket.pause()
        socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
      },
      { reads: false },
    )
    const senders = await attackWith(60, gateway.port, (socket) => {
      socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n`)
      drip(socket, 'x'.repeat(1000), 100)
    })
    let last = -1
    await until(async () => {
      const previous = last
      last = sent
      await new Promise((resolve) => setTimeout(resolve, 200))
      return sent === previous
    })
    const grown = (await gateway.memory()) - memoryBefore
    expect(sent).toBeLessThan(60 * size * 0.75)
    // 64 KiB for each connection; the rest is garbage of the hundreds of MiB that the buffers of the kernel took.
    expect(grown).toBeLessThan(120 * 64 * 1024 + 120 * 1_048_576)
    for (const { socket } of [...readers, ...senders]) socket.destroy()
    await expectCalm(gateway)
  })
})
