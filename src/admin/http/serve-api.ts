// One request of the API, from top to bottom: where it is from, who asks, what is asked, whether it was asked before; then
// the handler, and the answer.
import { isIP, type Socket } from 'node:net'
import type { Request, Response } from 'express'
import { BUILT_IN_ACTORS } from '../../model/built-in-actors.ts'
import { plainAddress } from '../../model/plain-address.ts'
import { ROLES, type Role } from '../../model/shared-state.ts'
import type { SignIn } from '../access/sign-in.ts'
import type { TurnedAway } from '../access/turned-away.ts'
import type { Actor } from '../access/verify-jwt.ts'
import { JSON_LINES } from '../contract/contract.ts'
import { type RememberedAnswers, readIdempotencyKey } from './idempotency.ts'
import { readIfMatch } from './if-match.ts'
import { refuseForeignOrigin } from './origin-guard.ts'
import { Refusal, sendRefusal } from './problem.ts'
import { isTooLarge, readJson } from './read-json.ts'
import {
  type Answer,
  type ApiRoute,
  type Circumstances,
  hasBody,
  isChange,
  isWrite,
  type Tools,
  type Wish,
} from './route.ts'

export type Api = {
  readonly tools: Tools
  readonly signIn: SignIn
  /** Connections whose request waits for `signIn`, the longest-waiting first. */
  readonly unidentified: Set<Socket>
  readonly turnedAway: TurnedAway
  readonly remembered: RememberedAnswers<Answer>
  readonly requireReason: boolean
}

/** Who asks, as far as it is known when somebody is turned away. */
type Known = { actor: Actor | undefined }

export async function serveApi(api: Api, route: ApiRoute, request: Request, response: Response): Promise<void> {
  const known: Known = { actor: undefined }
  const answer = await answerTo(api, route, request, known)
  if (request.socket.destroyed) return
  if (answer instanceof Refusal) {
    noteRefusal(api.turnedAway, request, answer, known.actor)
    // What is left of a body is taken in and thrown away, but not for as long as somebody likes to send.
    if (!request.complete && isTooLarge(request)) response.set('Connection', 'close')
    return sendRefusal(response, answer)
  }
  if ('body' in answer) return void response.set(answer.headers ?? {}).json(answer.body)
  response.set(answer.headers)
  if (request.method === 'HEAD') return void response.end()
  response.flushHeaders()
  await answer.pour(response)
}

async function answerTo(api: Api, route: ApiRoute, request: Request, known: Known): Promise<Answer> {
  const foreign = isWrite(route) ? refuseForeignOrigin(request.headers) : undefined
  if (foreign !== undefined) return foreign
  const actor = await identify(api, request)
  if (actor instanceof Refusal) return actor
  known.actor = actor
  // Nobody is there any more to read the answer. A change was asked for, and is made.
  if (request.socket.destroyed && !isWrite(route)) return new Refusal('bad-request', 'the connection was closed')
  if (!mayAct(actor.role, route.role)) return lacksRole(actor, route)
  const said = hasBody(route) ? await readBody(request) : readQuery(request)
  if (said instanceof Refusal) return said
  const wish = route.read(said.value)
  if (wish instanceof Refusal) return wish
  if (isChange(route)) return write(api, request, actor, wish)
  return wish.answer(circumstances(api, request, actor, wish))
}

async function identify({ signIn, unidentified }: Api, request: Request): Promise<Actor | Refusal> {
  const { socket, rawHeaders } = request
  unidentified.add(socket)
  try {
    return await signIn(addressOf(request), rawHeaders, () => socket.destroyed)
  } finally {
    unidentified.delete(socket)
  }
}

async function write(api: Api, request: Request, actor: Actor, wish: Wish): Promise<Answer> {
  if (api.requireReason && wish.reason === null) {
    return new Refusal('reason-required', 'every change must say why: "reason" in the body, or ?reason= with DELETE')
  }
  const ifGeneration = readIfMatch(request.headers['if-match'])
  if (ifGeneration instanceof Refusal) return ifGeneration
  const key = readIdempotencyKey(request.headers['idempotency-key'])
  if (key instanceof Refusal) return key
  const work = () => wish.answer(circumstances(api, request, actor, wish, ifGeneration))
  if (key === undefined) return work()
  const asked = `${request.method} ${request.path} ${ifGeneration} ${wish.text}`
  const had = await api.remembered.once({ actor: actor.name, key, request: asked }, work, isFinal)
  if (had instanceof Refusal) return had
  return had.isRepeated ? repeated(had.answer) : had.answer
}

/** What could not be done may be possible the next time. */
function isFinal(answer: Answer): boolean {
  return !(answer instanceof Refusal) || answer.status < 500
}

function repeated(answer: Answer): Answer {
  if (answer instanceof Refusal || !('body' in answer)) return answer
  return { ...answer, headers: { ...answer.headers, 'Idempotency-Replayed': 'true' } }
}

function circumstances(
  { tools }: Api,
  request: Request,
  actor: Actor,
  wish: Wish,
  ifGeneration?: number,
): Circumstances {
  const [id = ''] = Object.values(request.params)
  return {
    ...tools,
    actor,
    id: String(id),
    order: { by: actor.name, address: addressOf(request), reason: wish.reason, ifGeneration },
    wantsLines: request.accepts(['application/json', JSON_LINES]) === JSON_LINES,
    lastEventId: request.get('Last-Event-ID'),
  }
}

function mayAct(role: Role, asked: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(asked)
}

function lacksRole({ role }: Actor, route: ApiRoute): Refusal {
  return new Refusal('forbidden', `it asks for the role ${route.role}, and the token has ${role}`)
}

async function readBody(request: Request): Promise<{ readonly value: unknown } | Refusal> {
  if (request.url.includes('?')) return new Refusal('bad-query', 'a query means nothing here: say it in the body')
  const body = await readJson(request)
  return body instanceof Refusal || body.value !== undefined ? body : { value: {} }
}

/** What is said twice could be read as either. */
function readQuery(request: Request): { readonly value: unknown } | Refusal {
  if (Number(request.headers['content-length']) > 0 || request.headers['transfer-encoding'] !== undefined) {
    return new Refusal('bad-request', `a body means nothing with ${request.method}: say it in the query`)
  }
  const query = new URLSearchParams(request.url.split('?')[1] ?? '')
  const names = [...query.keys()]
  if (new Set(names).size < names.length) return new Refusal('bad-query', 'something is said twice')
  return { value: Object.fromEntries(query) }
}

/**
 * The client's address: behind a trusted proxy the one that the proxy names, else the peer's. Whatever a proxy names that is not an
 * address is not used. IPv4 is written as IPv4.
 */
export function addressOf({ ip, socket }: Pick<Request, 'socket' | 'ip'>): string {
  const address = ip !== undefined && isIP(ip) !== 0 ? ip : (socket.remoteAddress ?? BUILT_IN_ACTORS.unknown)
  return plainAddress(address)
}

const ON_RECORD: readonly number[] = [401, 403, 421, 429]

/** Puts on record who was turned away at the door, or for want of a role. */
export function noteRefusal(turnedAway: TurnedAway, request: Request, refusal: Refusal, actor?: Actor): void {
  if (!ON_RECORD.includes(refusal.status)) return
  const { code, detail, why = detail ?? code } = refusal
  turnedAway.note({
    by: actor?.name ?? BUILT_IN_ACTORS.unknown,
    role: actor?.role ?? null,
    address: addressOf(request),
    what: `${request.method} ${request.path.slice(0, 200).replace(/[^\x21-\x7e]/g, '?')}`,
    why,
  })
}
