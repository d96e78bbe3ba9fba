// Serves one API request: origin, caller, role, input, idempotency, handler, answer.
import { isIP, type Socket } from 'node:net'
import type { Request, Response } from 'express'
import { BUILT_IN_ACTORS } from '../../model/built-in-actors.ts'
import { plainAddress } from '../../model/plain-address.ts'
import { ROLES, type Role } from '../../model/shared-state.ts'
import type { RefusedCallers } from '../access/refused-callers.ts'
import type { SignIn } from '../access/sign-in.ts'
import type { Actor } from '../access/verify-jwt.ts'
import { JSON_LINES } from '../contract/api-paths.ts'
import {
  type Answer,
  type ApiRoute,
  type CallContext,
  hasBody,
  hasWriteMethod,
  isChange,
  type ParsedRequest,
  type Tools,
} from './api-route.ts'
import { type IdempotencyCache, readIdempotencyKey } from './idempotency.ts'
import { readIfMatch } from './if-match.ts'
import { isTooLarge, readJson } from './json-body.ts'
import { refuseForeignOrigin } from './origin-guard.ts'
import { ApiRefusal, sendRefusal } from './problem.ts'

export type Api = {
  readonly tools: Tools
  readonly signIn: SignIn
  /** Connections whose request waits for `signIn`, the longest-waiting first. */
  readonly unidentified: Set<Socket>
  readonly turnedAway: RefusedCallers
  readonly idempotency: IdempotencyCache<Answer>
  readonly requireReason: boolean
}

/** The caller, once identified: a refusal that comes later is recorded with its name. */
type Caller = { actor: Actor | undefined }

export async function serveApi(api: Api, route: ApiRoute, request: Request, response: Response): Promise<void> {
  const caller: Caller = { actor: undefined }
  const answer = await answerRequest(api, route, request, caller)
  if (request.socket.destroyed) return
  if (answer instanceof ApiRefusal) {
    recordRefusal(api.turnedAway, request, answer, caller.actor)
    // Node reads and discards the rest of a body. A body that may be endless ends the connection instead.
    if (!request.complete && isTooLarge(request)) response.set('Connection', 'close')
    return sendRefusal(response, answer)
  }
  if ('body' in answer) return void response.set(answer.headers ?? {}).json(answer.body)
  response.set(answer.headers)
  if (request.method === 'HEAD') return void response.end()
  response.flushHeaders()
  await answer.pour(response)
}

async function answerRequest(api: Api, route: ApiRoute, request: Request, caller: Caller): Promise<Answer> {
  const foreign = hasWriteMethod(route) ? refuseForeignOrigin(request.headers) : undefined
  if (foreign !== undefined) return foreign
  const actor = await identify(api, request)
  if (actor instanceof ApiRefusal) return actor
  caller.actor = actor
  // The client has left and cannot read an answer. A change is still made: the client has asked for it.
  if (request.socket.destroyed && !hasWriteMethod(route))
    return new ApiRefusal('bad-request', 'the connection was closed')
  if (!hasRole(actor.role, route.role)) return lacksRole(actor, route)
  const input = hasBody(route) ? await readBody(request) : readQuery(request)
  if (input instanceof ApiRefusal) return input
  const parsed = route.parseInput(input.value)
  if (parsed instanceof ApiRefusal) return parsed
  if (isChange(route)) return answerChange(api, request, actor, parsed)
  return parsed.handle(createContext(api, request, actor, parsed))
}

async function identify({ signIn, unidentified }: Api, request: Request): Promise<Actor | ApiRefusal> {
  const { socket, rawHeaders } = request
  unidentified.add(socket)
  try {
    return await signIn(addressOf(request), rawHeaders, () => socket.destroyed)
  } finally {
    unidentified.delete(socket)
  }
}

async function answerChange(api: Api, request: Request, actor: Actor, parsed: ParsedRequest): Promise<Answer> {
  if (api.requireReason && parsed.reason === null) {
    return new ApiRefusal('reason-required', 'give "reason" in the body, or ?reason= with DELETE')
  }
  const ifGeneration = readIfMatch(request.headers['if-match'])
  if (ifGeneration instanceof ApiRefusal) return ifGeneration
  const key = readIdempotencyKey(request.headers['idempotency-key'])
  if (key instanceof ApiRefusal) return key
  const work = () => parsed.handle(createContext(api, request, actor, parsed, ifGeneration))
  if (key === undefined) return work()
  const content = `${request.method} ${request.path} ${ifGeneration} ${parsed.canonicalText}`
  const result = await api.idempotency.run({ actor: actor.name, key, request: content }, work, isFinal)
  if (result instanceof ApiRefusal) return result
  return result.isRepeated ? markRepeated(result.answer) : result.answer
}

/** A server error is not final: the same request may succeed later. */
function isFinal(answer: Answer): boolean {
  return !(answer instanceof ApiRefusal) || answer.status < 500
}

function markRepeated(answer: Answer): Answer {
  if (answer instanceof ApiRefusal || !('body' in answer)) return answer
  return { ...answer, headers: { ...answer.headers, 'Idempotency-Replayed': 'true' } }
}

function createContext(
  { tools }: Api,
  request: Request,
  actor: Actor,
  { reason }: ParsedRequest,
  ifGeneration?: number,
): CallContext {
  const [id = ''] = Object.values(request.params)
  return {
    ...tools,
    actor,
    id: String(id),
    changeRequest: { by: actor.name, address: addressOf(request), reason, ifGeneration },
    wantsLines: request.accepts(['application/json', JSON_LINES]) === JSON_LINES,
    lastEventId: request.get('Last-Event-ID'),
  }
}

function hasRole(role: Role, requiredRole: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(requiredRole)
}

function lacksRole({ role }: Actor, route: ApiRoute): ApiRefusal {
  return new ApiRefusal('forbidden', `it requires the role ${route.role}, and the token has ${role}`)
}

async function readBody(request: Request): Promise<{ readonly value: unknown } | ApiRefusal> {
  if (request.url.includes('?'))
    return new ApiRefusal('bad-query', 'this method takes its input in the body, not the query')
  const body = await readJson(request)
  return body instanceof ApiRefusal || body.value !== undefined ? body : { value: {} }
}

/** A repeated parameter is refused: programs differ in which of its values they use. */
function readQuery(request: Request): { readonly value: unknown } | ApiRefusal {
  if (Number(request.headers['content-length']) > 0 || request.headers['transfer-encoding'] !== undefined) {
    return new ApiRefusal('bad-request', `${request.method} takes its input in the query, not the body`)
  }
  const query = new URLSearchParams(request.url.split('?')[1] ?? '')
  const names = [...query.keys()]
  if (new Set(names).size < names.length) return new ApiRefusal('bad-query', 'a parameter occurs twice')
  return { value: Object.fromEntries(query) }
}

/**
 * The address of the client: behind a trusted proxy the address that the proxy reports, else that of the peer. A reported value
 * that is not an address is ignored. An IPv4-mapped address is written as IPv4.
 */
function addressOf({ ip, socket }: Pick<Request, 'socket' | 'ip'>): string {
  const address = ip !== undefined && isIP(ip) !== 0 ? ip : (socket.remoteAddress ?? BUILT_IN_ACTORS.unknown)
  return plainAddress(address)
}

const AUDITED_STATUSES: readonly number[] = [401, 403, 421, 429]

/** Writes a refusal of access to the audit log. */
export function recordRefusal(turnedAway: RefusedCallers, request: Request, refusal: ApiRefusal, actor?: Actor): void {
  if (!AUDITED_STATUSES.includes(refusal.status)) return
  const { code, detail, why = detail ?? code } = refusal
  turnedAway.note({
    by: actor?.name ?? BUILT_IN_ACTORS.unknown,
    role: actor?.role ?? null,
    address: addressOf(request),
    what: `${request.method} ${request.path.slice(0, 200).replace(/[^\x21-\x7e]/g, '?')}`,
    why,
  })
}
