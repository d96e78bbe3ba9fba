// A stub of Unleash's client API, which a test can break in every way in which the real one breaks.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'

export type UnleashStub = {
  readonly url: string
  /** The response of `/client/features`; a test may replace it. */
  features: object[]
  /** The response of `/client/features/:name` if it is newer than the list, as in the first second after a change. */
  newer: Record<string, object>
  /** How the next requests for features are answered. */
  mode: 'well' | 'garbage' | 'nonsense' | 'silent' | 'endless' | 'compressed' | number
  /** Bytes of endless responses that were sent so far. */
  sent: number
  token: string
  /** Called before a response is sent: the response waits for it. */
  beforeResponse: (request: IncomingMessage) => Promise<unknown> | undefined
  readonly seen: { method: string; path: string; headers: IncomingMessage['headers']; body: string }[]
  /** Resolves after the next request for features has been answered. */
  readonly nextPoll: () => Promise<unknown>
  readonly close: () => Promise<void>
  /** Listens again on the same port. */
  readonly reopen: () => Promise<void>
}

const SPACES = Buffer.alloc(1024 * 1024, ' ')

type StubResponse = {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body?: string | Buffer
}

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
    beforeResponse: () => undefined,
    seen: [],
    nextPoll: () => new Promise<void>((resolve) => waiting.push(resolve)),
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
    const planned = responseTo(request)
    if (request.url === '/api/client/features')
      response.on('close', () => {
        for (const tell of waiting) tell()
        waiting = []
      })
    await stub.beforeResponse(request)
    if (planned !== 'nothing') response.writeHead(planned.status, planned.headers).end(planned.body)
  }

  /** Sends endless JSON as fast as it is read. */
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

  function responseTo(request: IncomingMessage): StubResponse | 'nothing' {
    const flagName = /^\/api\/client\/features\/(.+)$/.exec(request.url ?? '')?.[1]
    if (flagName !== undefined) return featureResponse(flagName)
    return request.url === '/api/client/features' ? listResponse(request) : { status: 404 }
  }

  function featureResponse(name: string): StubResponse {
    if (typeof stub.mode === 'number') return { status: stub.mode, body: '{}' }
    const feature = stub.newer[name]
    if (feature === undefined) return { status: 404, body: '{}' }
    return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(feature) }
  }

  function listResponse(request: IncomingMessage): StubResponse | 'nothing' {
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
