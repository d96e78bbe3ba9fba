// Origins for tests: one that records the bytes it is sent and answers with bytes, and one that is a Node server.
import http from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import { whenOver } from './lifetime.ts'
import { until } from './until.ts'

export type RawOrigin = {
  readonly url: string
  readonly port: number
  /** Every request seen, as the bytes of its head and what followed it, per connection. */
  readonly connections: readonly RecordedConnection[]
  /** The heads of all requests so far, each as text. */
  readonly heads: () => string[]
  readonly requests: () => number
}

export type RecordedConnection = { bytes: Buffer; isClosed: boolean; readonly socket: Socket }

/** What a raw origin does when a complete request head has arrived. `seen` is all of the connection so far. */
export type Script = (socket: Socket, seen: Buffer, requestNumber: number) => void

/**
 * A TCP server that records what it gets. The script is called once for each head that arrives; heads are counted
 * leniently, so that a smuggled request would be seen.
 */
export async function startRawOrigin(script: Script | string = OK): Promise<RawOrigin> {
  const answer: Script = typeof script === 'string' ? (socket) => void socket.write(script) : script
  const connections: RecordedConnection[] = []
  let requests = 0
  const server = net.createServer({ allowHalfOpen: false }, (socket) => {
    const connection: RecordedConnection = { bytes: Buffer.alloc(0), isClosed: false, socket }
    connections.push(connection)
    let counted = 0
    socket.on('data', (chunk: Buffer) => {
      connection.bytes = Buffer.concat([connection.bytes, chunk])
      const heads = headsOf(connection.bytes.toString('latin1')).length
      while (counted < heads) {
        counted++
        requests++
        answer(socket, connection.bytes, requests)
      }
    })
    socket.on('close', () => {
      connection.isClosed = true
    })
    socket.on('error', () => {})
  })
  await listening(server)
  whenOver(() => {
    for (const { socket } of connections) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    connections,
    heads: () => connections.flatMap(({ bytes }) => headsOf(bytes.toString('latin1'))),
    requests: () => requests,
  }
}

export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Request heads in a stream of bytes: whatever begins like a request line, be it right behind a body, and ends with an empty line. */
function headsOf(text: string): string[] {
  return text.match(/[A-Z]{3,20} [^\r\n]+ HTTP\/1\.[01]\r\n(?:[^\r\n]+\r\n)*\r\n/g) ?? []
}

export type HttpOrigin = {
  readonly url: string
  readonly port: number
  readonly server: http.Server
  readonly requests: () => number
}

/** A Node server; its connections end with the test. */
export async function startHttpOrigin(handler: http.RequestListener, at: { port?: number } = {}): Promise<HttpOrigin> {
  let requests = 0
  const server = http.createServer((request, response) => {
    requests++
    handler(request, response)
  })
  await listening(server, at.port)
  whenOver(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, port, server, requests: () => requests }
}

/** An origin that says who it is: `{"side":"…","path":"…"}`. */
export function startNamedOrigin(side: string): Promise<HttpOrigin> {
  return startHttpOrigin((request, response) => {
    request.resume()
    request.on('end', () => {
      response.setHeader('Content-Type', 'application/json')
      response.setHeader('X-Side', side)
      response.end(JSON.stringify({ side, path: request.url, method: request.method }))
    })
  })
}

/** A port that nothing listens on. */
export async function freePort(): Promise<number> {
  const server = net.createServer()
  await listening(server)
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Waits until an origin has seen so many requests. */
export async function untilRequests(origin: { requests: () => number }, atLeast: number): Promise<void> {
  await until(() => origin.requests() >= atLeast)
}

function listening(server: net.Server, port = 0): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
}
