// The attack: a client that reaches the admin port pipelines scrapes of the metrics on a thousand connections. Clients of the
// proxy must not notice.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { startNamedOrigin } from '../kit/origin.ts'
import { startGatewayProcess } from '../kit/process.ts'
import { shop } from '../kit/shop.ts'

const CONNECTIONS = 1_000
const PIPELINED = 300
const PHASE_MS = 5_000
const SCRAPES = Buffer.from('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(PIPELINED))

/** Runs in the gateway's process: prints the largest delay of its event loop and its resident memory every 250 ms. */
const PROBE = `
import { appendFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'
if (isMainThread) {
  const delays = monitorEventLoopDelay({ resolution: 10 })
  delays.enable()
  setInterval(() => {
    const sample = { at: Date.now(), maxMs: delays.max / 1e6, rss: process.memoryUsage.rss() }
    delays.reset()
    appendFileSync(process.env.PROBE_FILE, JSON.stringify(sample) + '\\n')
  }, 250).unref()
}
`

type ProbeSample = { readonly at: number; readonly maxMs: number; readonly rss: number }

it('1,000 admin connections that pipeline scrapes delay the event loop by 100 ms at most, and take 64 MiB at most', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-flood-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const [probe, file] = [join(folder, 'probe.mjs'), join(folder, 'samples')]
  await writeFile(probe, PROBE)
  const [legacy, service] = [await startNamedOrigin('legacy'), await startNamedOrigin('service')]
  const gateway = await startGatewayProcess(shop({ legacy: legacy.url, service: service.url }), {
    node: ['--import', probe],
    // The default; the test kit sets 0 elsewhere.
    env: { PROBE_FILE: file, STRANGLER_METRICS_CACHE_MS: '1000' },
  })
  const samplesOf = async (from: number, to: number) => {
    const lines = (await readFile(file, 'utf8')).split('\n').slice(0, -1)
    return lines.map((line) => JSON.parse(line) as ProbeSample).filter(({ at: time }) => time >= from && time <= to)
  }
  const measured = async (isOver: () => boolean, from = Date.now()) => {
    // The measurement needs a fixed time; there is no event to wait for.
    while (Date.now() - from < PHASE_MS || !isOver()) {
      await fetch(`http://127.0.0.1:${gateway.port}/products`).then((answer) => answer.text())
      await pass(20)
    }
    const samples = await samplesOf(from, Date.now())
    return {
      delayMs: Math.max(...samples.map(({ maxMs }) => maxMs)),
      memory: Math.max(...samples.map(({ rss }) => rss)),
    }
  }

  // Both phases begin with a grown heap.
  for (let i = 0; i < 200; i++) {
    await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`).then((answer) => answer.text())
  }
  const idle = await measured(() => true)
  // The measurement includes the beginning: a thousand connections at once.
  const from = Date.now()
  const flood = startFlood(gateway.adminPort)
  const attacked = await measured(() => flood.opened() >= CONNECTIONS, from)
  flood.stop()

  expect(attacked.delayMs).toBeLessThan(100 + idle.delayMs)
  expect(attacked.memory - idle.memory).toBeLessThan(64 * 1024 * 1024)
  expect(await gateway.readyz()).toBe(200)
}, 60_000)

/** Connections from twenty addresses of this machine; a client opens a new one when its connection was closed. */
function startFlood(port: number): { readonly stop: () => void; readonly opened: () => number } {
  const sockets = new Set<Socket>()
  let [isOver, opened] = [false, 0]
  for (let i = 0; i < CONNECTIONS; i++) open(`127.0.1.${1 + (i % 20)}`, i % 2 === 0)
  const stop = () => {
    isOver = true
    for (const socket of sockets) socket.destroy()
  }
  onTestFinished(stop)
  return { stop, opened: () => opened }

  function open(localAddress: string, isReading: boolean): void {
    if (isOver) return
    const socket = connect({ port, host: '127.0.0.1', localAddress })
    sockets.add(socket)
    socket
      .on('connect', () => {
        opened++
        // Half of the clients read nothing. The others notice when they are cut off, and connect again.
        if (isReading) socket.resume()
        socket.write(SCRAPES)
      })
      .on('error', () => {})
      .on('close', () => {
        sockets.delete(socket)
        setTimeout(open, 50, localAddress, isReading)
      })
  }
}
