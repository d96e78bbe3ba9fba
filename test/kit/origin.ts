// Origins for tests: a raw TCP server that records bytes, and a Node HTTP server.
import http from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import { whenOver } from './lifetime.ts'
import { until } from './until.ts'

export type RawOrigin = {
  readonly url: string
  readonly port: number
  /** The received bytes of each connection. */
  readonly connections: readonly RecordedConnection[]
  /** The heads of all requests so far, as text. */
  readonly heads: () => string[]
  readonly requests: () => number
}

export type RecordedConnection = { bytes: Buffer; isClosed: boolean; readonly socket: Socket }

/** Runs when a complete request head has arrived. `seen` contains all bytes of the connection so far. */
export type Script = (socket: Socket, seen: Buffer, requestNumber: number) => void

/**
 * A TCP server that records its input. The script runs once for each request head. Heads are detected leniently, so that a smuggled
 * request is detected, too.
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

/** Finds request heads in a stream of bytes: text that begins like a request line, even directly after a body, up to an empty line. */
function headsOf(text: string): string[] {
  return text.match(/[A-Z]{3,20} [^\r\n]+ HTTP\/1\.[01]\r\n(?:[^\r\n]+\r\n)*\r\n/g) ?? []
}

export type HttpOrigin = {
  readonly url: string
  readonly port: number
  readonly server: http.Server
  readonly requests: () => number
}

/** A Node HTTP server. Its connections end with the test. */
export async function startHttpOrigin(
  handler: http.RequestListener,
  address: { port?: number } = {},
): Promise<HttpOrigin> {
  let requests = 0
  const server = http.createServer((request, response) => {
    requests++
    handler(request, response)
  })
  await listening(server, address.port)
  whenOver(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, port, server, requests: () => requests }
}

/** An origin that responds with its name: `{"side":"…","path":"…"}`. */
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

/** A port without a listener. */
export async function freePort(): Promise<number> {
  const server = net.createServer()
  await listening(server)
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Waits until an origin has received at least this number of requests. */
export async function untilRequests(origin: { requests: () => number }, atLeast: number): Promise<void> {
  await until(() => origin.requests() >= atLeast)
}

function listening(server: net.Server, port = 0): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
}
