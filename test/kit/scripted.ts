// An origin that is a table: for each path the bytes it answers with, or what it does with the socket.
import type { Socket } from 'node:net'
import { type RawOrigin, startRawOrigin } from './origin.ts'
import { connectRaw, parse } from './raw.ts'

/** Bytes as they stand, or a function that has the socket and the head of the request. */
export type Answer = string | ((socket: Socket, head: string) => void)

/** What the table does not name is answered `404` without a body. */
export function startScriptedOrigin(answers: Readonly<Record<string, Answer>>): Promise<RawOrigin> {
  const counted = new WeakMap<Socket, number>()
  return startRawOrigin((socket, seen) => {
    const heads = [
      ...seen.toString('latin1').matchAll(/^[A-Z]+ ([^ ?]+)[^ ]* HTTP\/1\.[01]\r\n(?:[^\r\n]+\r\n)*\r\n/gm),
    ]
    const at = counted.get(socket) ?? 0
    counted.set(socket, at + 1)
    const [head = '', path = ''] = heads[at] ?? []
    const answer = answers[path] ?? 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n'
    if (typeof answer === 'string') socket.write(Buffer.from(answer, 'latin1'))
    else answer(socket, head)
  })
}

/** Sends a whole request on a connection of its own and returns all that came until the other side closed. */
export async function askUntilClose(port: number, bytes: string | Buffer) {
  const client = await connectRaw(port)
  client.send(bytes)
  return parse(await client.closes(), true)
}

/** A chunked body taken apart: its bytes, its trailer lines, and whether the last chunk came. */
export function dechunk(body: string): { body: string; trailers: string[]; isWhole: boolean } {
  let text = ''
  let at = 0
  for (;;) {
    const line = body.indexOf('\r\n', at)
    if (line < 0) return { body: text, trailers: [], isWhole: false }
    const size = Number.parseInt(body.slice(at, line), 16)
    if (size === 0) {
      const rest = body.slice(line + 2)
      return {
        body: text,
        trailers: rest.split('\r\n').filter((trailer) => trailer !== ''),
        isWhole: rest === '\r\n' || rest.endsWith('\r\n\r\n'),
      }
    }
    text += body.slice(line + 2, line + 2 + size)
    at = line + 2 + size + 2
  }
}

/** The lines of a response head without the first, as they came. */
export function fieldLines(head: string): string[] {
  return head.split('\r\n').slice(1, -1)
}
