// An origin with a table: the response bytes, or a function of the socket, for each path.
import type { Socket } from 'node:net'
import { type RawOrigin, startRawOrigin } from './origin.ts'
import { connectRaw, parse } from './raw.ts'

/** The response bytes, or a function that receives the socket and the head of the request. */
export type Answer = string | ((socket: Socket, head: string) => void)

/** Paths that are not in the table get `404` without a body. */
export function startScriptedOrigin(answers: Readonly<Record<string, Answer>>): Promise<RawOrigin> {
  const counted = new WeakMap<Socket, number>()
  return startRawOrigin((socket, seen) => {
    const heads = [
      ...seen.toString('latin1').matchAll(/^[A-Z]+ ([^ ?]+)[^ ]* HTTP\/1\.[01]\r\n(?:[^\r\n]+\r\n)*\r\n/gm),
    ]
    const index = counted.get(socket) ?? 0
    counted.set(socket, index + 1)
    const [head = '', path = ''] = heads[index] ?? []
    const answer = answers[path] ?? 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'
    if (typeof answer === 'string') socket.write(Buffer.from(answer, 'latin1'))
    else answer(socket, head)
  })
}

/** Sends a request on a new connection. @returns the response, read until the other side closes */
export async function askUntilClose(port: number, bytes: string | Buffer) {
  const client = await connectRaw(port)
  client.send(bytes)
  return parse(await client.closes(), true)
}

/** Parses a chunked body: its bytes, its trailer lines, and whether it contains the last chunk. */
export function dechunk(body: string): { body: string; trailers: string[]; isWhole: boolean } {
  let text = ''
  let offset = 0
  for (;;) {
    const line = body.indexOf('\r\n', offset)
    if (line < 0) return { body: text, trailers: [], isWhole: false }
    const size = Number.parseInt(body.slice(offset, line), 16)
    if (size === 0) {
      const rest = body.slice(line + 2)
      return {
        body: text,
        trailers: rest.split('\r\n').filter((trailer) => trailer !== ''),
        isWhole: rest === '\r\n' || rest.endsWith('\r\n\r\n'),
      }
    }
    text += body.slice(line + 2, line + 2 + size)
    offset = line + 2 + size + 2
  }
}

/** The lines of a response head without the status line, unchanged. */
export function fieldLines(head: string): string[] {
  return head.split('\r\n').slice(1, -1)
}
