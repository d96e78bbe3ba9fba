// A raw TCP client: sends bytes and records the received bytes.
import net, { type Socket } from 'node:net'
import { until } from './until.ts'

export type RawClient = {
  readonly socket: Socket
  /** Everything received so far, as latin1 text. */
  readonly received: () => string
  readonly isClosed: () => boolean
  readonly send: (bytes: string | Buffer) => void
  /** Waits until the received text matches. */
  readonly receives: (what: RegExp | string) => Promise<string>
  /** Waits until the other side has closed. */
  readonly closes: () => Promise<string>
  readonly destroy: () => void
}

export function connectRaw(port: number): Promise<RawClient> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1')
    const chunks: Buffer[] = []
    let closed = false
    const received = () => Buffer.concat(chunks).toString('latin1')
    const client: RawClient = {
      socket,
      received,
      isClosed: () => closed,
      send: (bytes) => void socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes),
      receives: async (what) => {
        await until(() => (typeof what === 'string' ? received().includes(what) : what.test(received())) || closed)
        const text = received()
        const isThere = typeof what === 'string' ? text.includes(what) : what.test(text)
        if (!isThere)
          throw new Error(`connection closed without ${what}; received: ${JSON.stringify(text.slice(0, 500))}`)
        return text
      },
      closes: async () => {
        await until(() => closed)
        return received()
      },
      destroy: () => void socket.destroy(),
    }
    socket.on('data', (chunk: Buffer) => void chunks.push(chunk))
    socket.once('connect', () => resolve(client))
    socket.once('error', reject)
    socket.on('error', () => {})
    socket.on('close', () => {
      closed = true
    })
  })
}

export type RawResponse = {
  readonly status: number
  readonly head: string
  readonly body: string
  readonly isClosed: boolean
}

/**
 * Sends bytes on a fresh connection and returns the first response once it is whole (by Content-Length or chunks) or
 * the connection has closed.
 */
export async function exchange(port: number, bytes: string | Buffer): Promise<RawResponse> {
  const client = await connectRaw(port)
  client.send(bytes)
  await until(() => client.isClosed() || isWhole(client.received()))
  const text = client.received()
  // After a refusal the gateway closes the connection: wait a moment for the close that follows the response.
  if (/\r\nconnection: close\r\n/i.test(text)) await until(() => client.isClosed())
  const response = parse(text, client.isClosed())
  client.destroy()
  return response
}

export function parse(text: string, isClosed: boolean): RawResponse {
  const end = text.indexOf('\r\n\r\n')
  return {
    status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1] ?? 0),
    head: end < 0 ? text : text.slice(0, end + 2),
    body: end < 0 ? '' : text.slice(end + 4),
    isClosed,
  }
}

function isWhole(text: string): boolean {
  const { head, body } = parse(text, false)
  if (!text.includes('\r\n\r\n')) return false
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1]
  if (length !== undefined) return body.length >= Number(length)
  if (/\r\ntransfer-encoding: chunked\r\n/i.test(head)) return /(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n$/.test(body)
  return /^HTTP\/1\.[01] (?:204|304)/.test(text)
}
