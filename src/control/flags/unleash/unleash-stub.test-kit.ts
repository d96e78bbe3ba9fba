// An Unleash as far as its client API goes, which a test can break in every way a real one breaks.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

export type UnleashStub = {
  readonly url: string
  /** What `/client/features` says; replaced by a test at will. */
  features: object[]
  /** What `/client/features/:name` says where it is newer than the list, as in the first second after a change. */
  newer: Record<string, object>
  /** How the next requests for features are answered. */
  mode: 'well' | 'garbage' | 'nonsense' | 'silent' | 'endless' | 'compressed' | number
  /** Bytes of endless answers that went out so far. */
  sent: number
  token: string
  /** What the answer to a request waits for, once it is decided. */
  before: (request: IncomingMessage) => Promise<unknown> | undefined
  readonly seen: { method: string; path: string; headers: IncomingMessage['headers']; body: string }[]
  /** Resolves after the next request for features has been answered. */
  readonly asked: () => Promise<unknown>
  readonly close: () => Promise<void>
  /** Listens again on the port it had. */
  readonly reopen: () => Promise<void>
}

const SPACES = Buffer.alloc(1024 * 1024, ' ')

type Said = { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string | Buffer }

export async function startUnleashStub(features: object[]): Promise<UnleashStub> {
  let server: Server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  let waiting: (() => void)[] = []

  const stub: UnleashStub = {
    url: `http://127.0.0.1:${port}/api/`,
    features,
    newer: {},
    mode: 'well',
    sent: 0,
    token: 'secret-token',
    before: () => undefined,
    seen: [],
    asked: () => new Promise<void>((resolve) => waiting.push(resolve)),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
    async reopen() {
      server = createServer(answer)
      server.listen(port, '127.0.0.1')
      await once(server, 'listening')
    },
  }
  return stub

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = ''
    for await (const chunk of request) body += chunk
    stub.seen.push({ method: request.method!, path: request.url!, headers: request.headers, body })
    if (request.url === '/api/client/register' || request.url === '/api/client/metrics')
      return void response.writeHead(202).end()
    if (stub.mode === 'endless' && request.url?.startsWith('/api/client/features')) return pourEndlessly(response)
    const said = whatIsSaid(request)
    if (request.url === '/api/client/features')
      response.on('close', () => {
        for (const tell of waiting) tell()
        waiting = []
      })
    await stub.before(request)
    if (said !== 'nothing') response.writeHead(said.status, said.headers).end(said.body)
  }

  /** JSON that never ends, as fast as it is read. */
  function pourEndlessly(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' })
    const more = () => {
      while (!response.destroyed) {
        stub.sent += SPACES.length
        if (!response.write(SPACES)) return void response.once('drain', more)
      }
    }
    more()
  }

  function whatIsSaid(request: IncomingMessage): Said | 'nothing' {
    const named = /^\/api\/client\/features\/(.+)$/.exec(request.url ?? '')?.[1]
    if (named !== undefined) return saidOfFeature(named)
    return request.url === '/api/client/features' ? saidOfFeatures(request) : { status: 404 }
  }

  function saidOfFeature(name: string): Said {
    if (typeof stub.mode === 'number') return { status: stub.mode, body: '{}' }
    const feature = stub.newer[name]
    if (feature === undefined) return { status: 404, body: '{}' }
    return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(feature) }
  }

  function saidOfFeatures(request: IncomingMessage): Said | 'nothing' {
    if (request.headers.authorization !== stub.token) return { status: 401, body: '{}' }
    if (stub.mode === 'silent') return 'nothing'
    if (typeof stub.mode === 'number') return { status: stub.mode, body: '{}' }
    const etag = `"${stub.mode}-${JSON.stringify(stub.features).length}-${JSON.stringify(stub.features)}"`.slice(0, 500)
    if (request.headers['if-none-match'] === etag) return { status: 304 }
    const headers = { 'content-type': 'application/json', etag }
    if (stub.mode === 'garbage') return { status: 200, headers, body: '<html>a proxy says hello</html>' }
    if (stub.mode === 'nonsense') return { status: 200, headers, body: '{"version":2,"features":[null]}' }
    const list = JSON.stringify({ version: 2, features: stub.features, segments: [] })
    if (stub.mode === 'compressed') {
      return { status: 200, headers: { ...headers, 'content-encoding': 'gzip' }, body: gzipSync(list) }
    }
    return { status: 200, headers, body: list }
  }
}
