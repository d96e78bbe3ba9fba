// Slow uploads and long polls work with the default timeouts. The test moves the clock of the gateway.
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { startGateway } from '../kit/gateway.ts'
import { startRawOrigin } from '../kit/origin.ts'
import { connectRaw } from '../kit/raw.ts'
import { until } from '../kit/until.ts'

let aheadMs = 0

beforeEach(() => {
  aheadMs = 0
  const now = performance.now.bind(performance)
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  vi.spyOn(performance, 'now').mockImplementation(() => now() + aheadMs)
  onTestFinished(() => {
    vi.useRealTimers()
    vi.restoreAllMocks()
  })
})

/** Moves the clock in steps of 50 ms, the interval at which the gateway sweeps its exchanges. */
function advance(ms: number): void {
  for (let step = 0; step < ms / 50; step++) {
    aheadMs += 50
    vi.advanceTimersByTime(50)
  }
}

async function startBefore(origin: { url: string }) {
  const gateway = await startGateway({ legacy: { url: origin.url } })
  return connectRaw(gateway.port)
}

describe('with the default limits and timeouts', () => {
  it('an upload of one line a second for 70 s reaches the origin completely', async () => {
    const origin = await startRawOrigin(() => {})
    const client = await startBefore(origin)
    client.send('POST /log HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (let second = 100; second < 170; second++) {
      client.send(`9\r\nline ${second}\n\r\n`)
      await until(() => origin.connections[0]?.bytes.includes(`line ${second}\n`) === true)
      advance(1000)
    }
    client.send('0\r\n\r\n')
    await until(() => origin.connections[0]?.bytes.toString().endsWith('\r\n0\r\n\r\n') === true)
    origin.connections[0]?.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole')
    expect(await client.receives('whole')).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('a long poll gets a response after 58 s, and 504 after 60 s', async () => {
    const origin = await startRawOrigin(() => {})
    const client = await startBefore(origin)
    client.send('GET /poll HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => origin.heads().length === 1)
    advance(58_000)
    origin.connections[0]?.socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnews')
    expect(await client.receives('news')).toMatch(/^HTTP\/1\.1 200 /)
    client.send('GET /poll HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => origin.heads().length === 2)
    advance(61_000)
    await client.receives(/HTTP\/1\.1 504 /)
  })
})
