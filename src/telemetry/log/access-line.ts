// One request as one line of JSON. The fields are laid out by hand: pino's own walk over an object of this size takes
// 2 to 3 µs, and this is on every request's path.
import { quote } from '../../lib/escape.ts'
import type { Responder } from '../../model/outcome.ts'
import type { Route } from '../../model/route.ts'
import type { AnswerFacts, RefusalFacts, RequestFacts } from '../events.ts'
import { parseTraceparent } from '../trace.ts'
import { maskTarget } from './mask-target.ts'

const LONGEST = { method: 32, target: 2048, userAgent: 256, requestId: 128, error: 256 } as const

/** The fields of a finished request as partial JSON, `,"time":...` first. Never a cookie, a credential or an identity. */
export function requestFields(facts: RequestFacts, time: number): string {
  const { head, identity, route, decision, outcome } = facts
  const traceId = facts.traceId ?? traceIdOf(head.fields.traceparent)
  const answeredBy = outcome.answeredBy
  const wholeMs = facts.finishedAt - facts.arrivedAt
  const userAgent = userAgentOf(head.headers)

  let line = `,"time":${time},"requestId":${text(identity.requestId, LONGEST.requestId)}`
  if (traceId !== undefined) line += `,"traceId":"${traceId}"`
  line += `,"client":${quote(identity.clientAddress)}`
  line += `,"method":${text(head.method, LONGEST.method)}`
  line += `,"path":${text(maskTarget(head.path, head.query), LONGEST.target)}`
  line += `,"status":${outcome.status}`
  line += routeFields(route)
  line += `,"side":"${decision.side}","reason":"${decision.reason}"`
  if (answeredBy !== undefined) line += answererFields(answeredBy)
  if (outcome.failure !== undefined) line += `,"failure":"${outcome.failure}"`
  if (outcome.cause !== undefined) line += `,"error":${text(nameOf(outcome.cause), LONGEST.error)}`
  if (outcome.fallbackCause !== undefined) line += `,"fellBack":"${outcome.fallbackCause}"`
  line += `,"attempts":${outcome.attempts},"durationMs":${milliseconds(wholeMs)}`
  if (outcome.upstreamMs !== undefined) line += `,"upstreamMs":${milliseconds(outcome.upstreamMs)}`
  if (outcome.upstreamTotalMs !== undefined)
    line += `,"overheadMs":${milliseconds(Math.max(0, wholeMs - outcome.upstreamTotalMs))}`
  line += `,"requestBytes":${outcome.requestBytes},"responseBytes":${outcome.responseBytes}`
  if (userAgent !== undefined) line += `,"userAgent":${text(userAgent, LONGEST.userAgent)}`
  return `${line},"identity":"${identity.kind}"`
}

/** The fields of a request that the gateway or a middleware answered. */
export function answerFields(facts: AnswerFacts, time: number): string {
  const { head, identity, route, by, status } = facts
  let line = `,"time":${time}`
  if (identity !== undefined) line += `,"requestId":${text(identity.requestId, LONGEST.requestId)}`
  line += `,"client":${quote(identity?.clientAddress ?? head.peerAddress)}`
  line += `,"method":${text(head.method, LONGEST.method)}`
  line += `,"path":${text(maskTarget(head.path, head.query), LONGEST.target)},"status":${status}`
  if (route !== undefined) line += routeFields(route)
  return `${line},"answeredBy":"${by}","durationMs":${milliseconds(facts.finishedAt - facts.arrivedAt)}`
}

/** What is the same for every request of a route, laid out once. */
const fieldsOfRoute = new WeakMap<Route, string>()

function routeFields(route: Route): string {
  const known = fieldsOfRoute.get(route)
  if (known !== undefined) return known
  const context = route.context === undefined ? '' : `,"context":${quote(route.context.name)}`
  const fields = `${context},"route":${quote(route.pattern)}`
  fieldsOfRoute.set(route, fields)
  return fields
}

/** The same for whoever answers: one object an address (proxy/upstreams.ts). */
const fieldsOfAnswerer = new WeakMap<Responder, string>()

function answererFields(answeredBy: Responder): string {
  const known = fieldsOfAnswerer.get(answeredBy)
  if (known !== undefined) return known
  const fields = `,"upstream":${quote(answeredBy.upstream)},"address":${quote(answeredBy.address)}`
  fieldsOfAnswerer.set(answeredBy, fields)
  return fields
}

/** The fields of a request that was turned away; method and target may be anything that a client can send. */
export function refusalFields(facts: RefusalFacts, status: number, time: number): string {
  let line = `,"time":${time},"requestId":${text(facts.requestId, LONGEST.requestId)}`
  line += `,"client":${quote(facts.peerAddress)}`
  if (facts.method !== undefined) line += `,"method":${text(facts.method, LONGEST.method)}`
  if (facts.target !== undefined) line += `,"path":${text(masked(facts.target), LONGEST.target)}`
  line += `,"status":${status},"failure":"${facts.failure}"`
  if (facts.detail !== undefined) line += `,"error":${text(facts.detail, LONGEST.error)}`
  return `${line},"durationMs":${milliseconds(facts.finishedAt - facts.arrivedAt)}`
}

function masked(target: string): string {
  const shown = target.slice(0, LONGEST.target)
  const query = shown.indexOf('?')
  return query === -1 ? maskTarget(shown, '') : maskTarget(shown.slice(0, query), shown.slice(query))
}

function text(value: string, longest: number): string {
  return quote(value.length > longest ? value.slice(0, longest) : value)
}

/** Milliseconds to the microsecond. Two whole numbers print several times faster than one with a fraction. */
function milliseconds(ms: number): string {
  const microseconds = Math.round(ms * 1000)
  if (!(microseconds >= 0 && microseconds < 2 ** 31)) return String(Number.isFinite(ms) ? Math.round(ms) : 0)
  const whole = (microseconds / 1000) | 0
  const rest = microseconds - whole * 1000
  if (rest === 0) return String(whole)
  return rest < 10 ? `${whole}.00${rest}` : rest < 100 ? `${whole}.0${rest}` : `${whole}.${rest}`
}

function traceIdOf(traceparent: string | undefined): string | undefined {
  return traceparent === undefined ? undefined : parseTraceparent(traceparent)?.traceId
}

function userAgentOf(headers: readonly string[]): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (name.length === 10 && (name === 'User-Agent' || name === 'user-agent' || name.toLowerCase() === 'user-agent'))
      return headers[i + 1]
  }
  return undefined
}

/** `ECONNREFUSED` rather than a sentence with addresses in it, where there is a code. */
function nameOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const { code } = cause as NodeJS.ErrnoException
  return typeof code === 'string' ? code : cause.message || cause.name
}
