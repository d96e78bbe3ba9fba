// A load at a fixed rate over kept-alive sockets:
// `node paced-client.ts <url> <requests per second> <windows> <milliseconds of each> <milliseconds it begins with unmeasured>`.
// The schedule does not wait for responses. A request that finds every socket busy is measured from its scheduled time, so that the
// delays of a slow peer are counted (coordinated omission).
import { connect, type Socket } from 'node:net'
import { cookieOf, SESSIONS } from './sessions.ts'

const [address = '', ...numbers] = process.argv.slice(2)
const url = new URL(address)
const [rate = 1, windows = 1, windowMs = 1000, unmeasuredMs = 0] = numbers.map(Number)
const CONNECTIONS = 64
const SETTLING_MS = 500

const REQUESTS = Array.from({ length: SESSIONS }, (_, n) =>
  Buffer.from(`GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nCookie: ${cookieOf(n)}\r\n\r\n`, 'latin1'),
)

type Lane = { readonly socket: Socket; sentAt: number; received: Buffer[] }

const idle: Lane[] = []
const waitingSince: number[] = []
const latenciesMs: number[][] = Array.from({ length: windows }, () => [])
let [sent, notOk, socketErrors] = [0, 0, 0]

const lanes = await Promise.all(Array.from({ length: CONNECTIONS }, openLane))
idle.push(...lanes)
const startedAt = performance.now()
const measuredFrom = startedAt + SETTLING_MS
const endsAt = measuredFrom + windows * windowMs
console.log(`BEGINS ${Date.now() + SETTLING_MS}`)
let scheduled = 0
tick()

function openLane(): Promise<Lane> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true })
    const lane: Lane = { socket, sentAt: 0, received: [] }
    socket.once('connect', () => resolve(lane))
    socket.once('error', reject)
    socket.on('error', () => socketErrors++)
    socket.on('close', () => {
      if (performance.now() < endsAt) socketErrors++
    })
    socket.on('data', (bytes: Buffer) => receive(lane, bytes))
  })
}

function tick(): void {
  const now = performance.now()
  if (now >= endsAt) {
    finish()
    return
  }
  const due = Math.floor(((now - startedAt) * rate) / 1000)
  for (; scheduled < due; scheduled++) {
    const lane = idle.shift() // the longest idle first, so that all connections stay in use
    if (lane) send(lane, performance.now())
    else waitingSince.push(startedAt + (scheduled * 1000) / rate)
  }
  setTimeout(tick, 1)
}

function send(lane: Lane, countedFrom: number): void {
  lane.sentAt = countedFrom
  lane.socket.write(REQUESTS[sent++ % SESSIONS]!)
}

function receive(lane: Lane, bytes: Buffer): void {
  lane.received.push(bytes)
  const status = statusOfWhole(lane.received.length === 1 ? bytes : Buffer.concat(lane.received))
  if (status === undefined) return
  const now = performance.now()
  lane.received = []
  if (status < 200 || status > 299) notOk++
  record(lane.sentAt, now)
  const since = waitingSince.shift()
  if (since === undefined) idle.push(lane)
  else send(lane, since)
}

/** A request belongs to the window of its scheduled time. */
function record(dueAt: number, answeredAt: number): void {
  const since = dueAt - measuredFrom
  if (since >= 0 && since % windowMs >= unmeasuredMs)
    latenciesMs[Math.floor(since / windowMs)]?.push(answeredAt - dueAt)
}

/** The status, once the whole response has arrived. The peers respond with a length or in chunks. */
function statusOfWhole(bytes: Buffer): number | undefined {
  const text = bytes.toString('latin1')
  const headEnd = text.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, headEnd))?.[1]
  const isWhole = length ? text.length >= headEnd + 4 + Number(length) : text.endsWith('\r\n0\r\n\r\n')
  return isWhole ? Number(text.slice(9, 12)) : undefined
}

function finish(): void {
  for (const lane of lanes) lane.socket.destroy()
  console.log(`RESULT ${JSON.stringify({ windows: latenciesMs.map(summary), notOk, socketErrors })}`)
}

function summary(latencies: readonly number[]) {
  const sorted = latencies.toSorted((a, b) => a - b)
  const quantileUs = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? Number.NaN) * 1000
  return { requests: sorted.length, p50Us: quantileUs(0.5), p99Us: quantileUs(0.99) }
}
