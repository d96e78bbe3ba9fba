// Facts of a finished request, which a test can change.
import type { Identity } from '../model/decision.ts'
import type { Outcome } from '../model/outcome.ts'
import type { RequestHead } from '../model/request-head.ts'
import type { Route, Upstream } from '../model/route.ts'
import type { RefusalFacts, RequestFacts } from './events.ts'
import type { Readings } from './metrics/readings.ts'

type Changes = {
  head?: Partial<RequestHead>
  identity?: Partial<Identity>
  outcome?: Partial<Outcome>
  context?: string | null
  decision?: Partial<RequestFacts['decision']>
  finishedAt?: number
}

export function requestFacts({ head, identity, outcome, context = 'catalog', decision, finishedAt }: Changes = {}) {
  return {
    arrivedAt: 100,
    finishedAt: finishedAt ?? 103.1,
    head: { ...HEAD, ...head },
    identity: { ...IDENTITY, ...identity },
    route: context === null ? { ...ROUTE, pattern: '/*', context: undefined } : inContext(context),
    decision: { side: 'service', reason: 'flag-on', fallback: true, ...decision },
    outcome: { ...OUTCOME, ...outcome },
  } satisfies RequestFacts
}

export function refusalFacts(changes: Partial<RefusalFacts> = {}): RefusalFacts {
  return {
    arrivedAt: 100,
    finishedAt: 100.2,
    failure: 'malformed',
    requestId: 'r-1',
    peerAddress: '192.0.2.7',
    method: undefined,
    target: undefined,
    detail: undefined,
    ...changes,
  }
}

export const quietReadings: Readings = {
  requestsInFlight: 0,
  flagAgeSeconds: undefined,
  isTokenRefused: false,
  storeCutOffSeconds: 0,
  rejectedFiles: [],
  isStateFolderWritable: true,
  connections: [],
  addresses: [],
  shadow: undefined,
}

function inContext(name: string): Route {
  const service = { name, side: 'service' } as Upstream
  return {
    ...ROUTE,
    context: {
      name,
      owner: 'team',
      flag: `migrate-${name}`,
      service,
      fallback: 'reads',
      whenStale: 'hold',
      staleAfterMs: 60_000,
      rollback: 'allowed',
    },
  }
}

const ROUTE: Route = {
  pattern: '/products/:id',
  context: undefined,
  rewrite: undefined,
  inverseRewrites: [],
  timeouts: undefined,
  maxBodyBytes: 0,
  upgrade: false,
  allowEncodedSlashes: undefined,
  anonymous: undefined,
  middleware: [],
  headers: undefined,
  auth: undefined,
  shadow: undefined,
}

const HEAD = {
  method: 'GET',
  path: '/products/7',
  query: '',
  hasEncodedSlash: false,
  host: 'shop.example',
  headers: ['Host', 'shop.example', 'User-Agent', 'curl/8'],
  endToEnd: [],
  minorVersion: 1,
  peerAddress: '127.0.0.1',
  secure: false,
  body: { kind: 'none' },
  fields: {},
} as unknown as RequestHead

const IDENTITY: Identity = {
  kind: 'session',
  key: 'the-session-key',
  clientAddress: '192.0.2.7',
  secure: false,
  requestId: 'r-1',
  isNew: false,
}

const OUTCOME: Outcome = {
  status: 200,
  failure: undefined,
  cause: undefined,
  answeredBy: { side: 'service', upstream: 'catalog', address: 'http://127.0.0.1:3001' },
  upstreamMs: 2,
  upstreamTotalMs: 2.9,
  requestBytes: 0,
  responseBytes: 512,
  attempts: 1,
  retried: false,
  fallbackCause: undefined,
}
