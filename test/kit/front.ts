// A reverse proxy in front of Unleash that can fail.
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { whenOver } from './lifetime.ts'

/** The kinds of failures: a status, an HTML page of a proxy, a response after 30 seconds, or no listener. */
export type Trouble = 401 | 500 | 'garbage' | 'slow' | 'down'

export type UnleashFront = {
  /** The address for `UNLEASH_URL`. */
  readonly apiUrl: string
  /** Begins to fail, for these paths or for all paths. */
  readonly fail: (trouble: Trouble, paths?: RegExp) => Promise<void>
  readonly mend: () => Promise<void>
}

const SLOW_MS = 30_000

/** @param url the address of Unleash */
export async function startFront(url: string): Promise<UnleashFront> {
  let trouble: { readonly kind: Trouble; readonly paths: RegExp } | undefined
  const server = http.createServer((request, response) => {
    if (trouble?.paths.test(request.url as string)) fail(trouble.kind, request, response)
    else pass(url, request, response)
  })
  let port = 0
  const open = () =>
    new Promise<void>((resolve) => (server.listening ? resolve() : server.listen(port, '127.0.0.1', resolve)))
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  await open()
  port = (server.address() as AddressInfo).port
  whenOver(close)
  return {
    apiUrl: `http://127.0.0.1:${port}/api/`,
    fail: async (kind, paths = /./) => {
      trouble = { kind, paths }
      await (kind === 'down' ? close() : open())
    },
    mend: async () => {
      trouble = undefined
      await open()
    },
  }
}

function fail(kind: Trouble, request: IncomingMessage, response: ServerResponse): void {
  request.resume()
  if (kind === 'slow') {
    const timer = setTimeout(() => response.end('{}'), SLOW_MS)
    response.on('close', () => clearTimeout(timer))
  } else if (kind === 'garbage') response.end('<html>the load balancer says hello</html>')
  else response.writeHead(kind as number, { 'content-type': 'application/json' }).end('{}')
}

function pass(url: string, request: IncomingMessage, response: ServerResponse): void {
  const { method, headers } = request
  const passed = http.request(new URL(request.url as string, url), { method, headers }, (answer) => {
    response.writeHead(answer.statusCode as number, answer.headers)
    answer.pipe(response)
  })
  passed.on('error', () => response.destroy())
  request.pipe(passed)
}
