// Prepares the two requests for a recorded one: routed as in the gateway, with the fields that the proxy would send to each side.
// Pure except for the random source.
import { isIP } from 'node:net'
import { USER_ID_HEADER } from '../model/auth.ts'
import type { Identity } from '../model/decision.ts'
import type { Random } from '../model/ports.ts'
import type { RequestHead } from '../model/request-head.ts'
import type { Context, Route, RouteMatch, Upstream } from '../model/route.ts'
import type { CopyRequest } from '../model/shadow.ts'
import type { ShadowPolicy } from '../model/shadow-policy.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { requestHeaders } from '../proxy/forward/headers.ts'
import { isForGateway } from '../proxy/policy/answer-options.ts'
import { acceptsPath } from '../proxy/policy/encoded-slashes.ts'
import { matchRoute } from '../proxy/policy/match-route.ts'
import { upstreamPath } from '../proxy/policy/path.ts'
import { readHead } from '../proxy/policy/read-head.ts'
import { Refusal } from '../proxy/policy/refusal.ts'
import { servernameOf } from '../proxy/upstream/upstreams.ts'
import { isSafe } from '../shadow/capture/eligibility.ts'
import { isSecretHeader } from '../shadow/capture/redact.ts'
import { continueTrace } from '../telemetry/trace.ts'
import type { RecordedRequest, SkipReason } from './recording.ts'

/** A request for both sides. */
export type PreparedRequest = {
  readonly context: Context
  readonly route: Route
  readonly shadow: ShadowPolicy
  /** The route's label: its method and template, `GET /products/:id`. */
  readonly label: string
  readonly head: RequestHead
  readonly legacy: CopyRequest
  readonly service: CopyRequest
}

export type PrepareOptions = {
  readonly snapshot: Snapshot
  /** Undefined: all contexts. */
  readonly contexts: ReadonlySet<string> | undefined
  /** The hosts whose requests are replayed. The first one applies to recordings without hosts. */
  readonly hosts: readonly [string, ...string[]]
  /** Whether clients used TLS, for recordings that do not contain it. */
  readonly secure: boolean
  readonly random: Random
}

export function prepareRequest(
  recorded: RecordedRequest,
  options: PrepareOptions,
  turn = 0,
): PreparedRequest | SkipReason {
  const { snapshot, contexts, hosts, random } = options
  // The readers have checked this; here it is checked a last time before anything is sent.
  if (!isSafe(recorded.method)) return 'unsafe-method'
  const host = recorded.host ?? hosts[0]
  if (!hosts.includes(host)) return 'other-host'
  const { client = '', secure = options.secure } = recorded
  const peerAddress = isIP(client) === 0 ? '127.0.0.1' : client
  const head = headOf(recorded, host, peerAddress, secure, snapshot)
  if (head instanceof Refusal) return 'refused'
  if (isForGateway(head)) return 'not-forwarded'
  const match = matchRoute(head, snapshot)
  const { route } = match
  const { context, shadow } = route
  if (context === undefined) return 'unowned'
  if (contexts !== undefined && !contexts.has(context.name)) return 'other-context'
  if (shadow === undefined) return 'not-shadowed'
  if (route.auth !== undefined && !route.auth.optional) return 'needs-token'
  const sides = [snapshot.legacy, context.service]
  if (!sides.every((upstream) => acceptsPath(head, route, upstream))) return 'refused'
  const { traceparent } = continueTrace(undefined, random)
  const identity: Identity = {
    ...{ kind: 'none', key: '', isNew: false },
    ...{ clientAddress: peerAddress, secure, requestId: random.hex(16) },
  }
  const identityFields = identityFieldsOf(head, snapshot)
  const requestTo = (upstream: Upstream): CopyRequest => {
    const url = upstream.urls[turn % upstream.urls.length]!
    const added = { head, identity, snapshot, rules: route.headers, viaName: VIA, traceparent }
    return {
      origin: url,
      tls: upstream.tls,
      servername: servernameOf(url, upstream),
      method: head.method,
      path: pathFor(head, match, upstream),
      fields: requestHeaders(added, upstream, new URL(url).host),
      identityFields,
    }
  }
  return {
    context,
    route,
    shadow,
    label: `${head.method} ${route.pattern}`,
    head,
    legacy: requestTo(snapshot.legacy),
    service: requestTo(context.service),
  }
}

/** The name in `Via`. */
const VIA = 'strangler-replay'

function headOf(
  { method, target, fields }: RecordedRequest,
  host: string,
  peerAddress: string,
  secure: boolean,
  snapshot: Snapshot,
): RequestHead | Refusal {
  const rawHeaders = ['Host', host, ...fields]
  const raw = { method, target, majorVersion: 1, minorVersion: 1, rawHeaders, peerAddress, secure } as const
  return readHead(raw, snapshot)
}

function pathFor(head: RequestHead, match: RouteMatch, upstream: Upstream): string {
  return upstreamPath(head, match, upstream.side)
}

/** Names of fields with identities or credentials, in lower case: those of browsers and of applications (`X-Api-Key`). */
function identityFieldsOf({ endToEnd }: RequestHead, { identity }: Snapshot): string[] {
  const names = [USER_ID_HEADER.toLowerCase(), ...(identity.user === undefined ? [] : [identity.user.header])]
  for (let i = 0; i < endToEnd.length; i += 2) {
    const name = endToEnd[i]!.toLowerCase()
    if (isSecretHeader(name)) names.push(name)
  }
  return names
}
