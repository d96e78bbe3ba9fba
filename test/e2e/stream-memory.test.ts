// Two gibibytes in each direction through a gateway in its own process do not increase its memory.
import { readFile } from 'node:fs/promises'
import net, { type AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { startGatewayProcess } from '../kit/process.ts'
import { until } from '../kit/until.ts'

const MIB = 1024 * 1024
const SIZE = 2048 * MIB
const MOST_ADDED = 64 * MIB
const CHUNK = Buffer.alloc(1024 * 1024, 'x')

it('a download of 2 GiB adds less than 64 MiB of memory', { timeout: 60_000 }, async () => {
  const origin = await startServer((socket) => {
    socket.once('data', () => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${SIZE}\r\n\r\n`)
      pour(socket)
    })
  })
  const gateway = await startGatewayProcess({ legacy: { url: origin } })
  const added = await addedBy(gateway.pid, async () => {
    let received = 0
    const client = net.connect(gateway.port, '127.0.0.1')
    client.on('data', (chunk) => {
      received += chunk.length
    })
    client.write('GET /big HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => received > SIZE, 50_000)
    client.destroy()
    expect(received).toBeLessThan(SIZE + 1000)
  })
  expect(added).toBeLessThan(MOST_ADDED)
})

it('an upload of 2 GiB adds less than 64 MiB of memory', { timeout: 60_000 }, async () => {
  let received = 0
  const origin = await startServer((socket) => {
    socket.on('data', (chunk: Buffer) => {
      if (received === 0) received -= chunk.indexOf('\r\n\r\n') + 4
      received += chunk.length
      if (received === SIZE) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
  })
  const gateway = await startGatewayProcess({ legacy: { url: origin } })
  const added = await addedBy(gateway.pid, async () => {
    let answer = ''
    const client = net.connect(gateway.port, '127.0.0.1')
    client.on('data', (chunk) => {
      answer += chunk
    })
    client.write(`POST /big HTTP/1.1\r\nHost: a\r\nContent-Length: ${SIZE}\r\n\r\n`)
    pour(client)
    await until(() => answer.endsWith('ok'), 50_000)
    client.destroy()
  })
  expect(received).toBe(SIZE)
  expect(added).toBeLessThan(MOST_ADDED)
})

function pour(socket: net.Socket): void {
  let left = SIZE
  const send = () => {
    while (left > 0) {
      left -= CHUNK.length
      if (!socket.write(CHUNK)) return void socket.once('drain', send)
    }
  }
  send()
}

async function startServer(serve: (socket: net.Socket) => void): Promise<string> {
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    serve(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The growth of the peak memory of a process during the work, in bytes. */
async function addedBy(pid: number, work: () => Promise<void>): Promise<number> {
  const memoryBefore = await memory(pid, 'VmRSS')
  await work()
  return (await memory(pid, 'VmHWM')) - memoryBefore
}

async function memory(pid: number, what: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024
}
