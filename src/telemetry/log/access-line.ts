// Formats a request as one line of JSON. The fields are concatenated by hand, since this is on the path of every request, and
// the walk of pino over an object of this size takes 2 to 3 µs.
import { quote } from '../../lib/escape.ts'
import type { Responder } from '../../model/outcome.ts'
import type { Route } from '../../model/route.ts'
import type { AnswerFacts, RefusalFacts, RequestFacts } from '../events.ts'
import { parseTraceparent } from '../trace.ts'
import { maskTarget } from './mask-target.ts'

const MAX_LENGTH = { method: 32, target: 2048, userAgent: 256, requestId: 128, error: 256 } as const

/** The fields of a finished request as partial JSON, `,"time":...` first. Never a cookie, a credential or an identity. */
export function requestFields(facts: RequestFacts, time: number): string {
  const { head, identity, route, decision, outcome } = facts
  const traceId = facts.traceId ?? traceIdOf(head.fields.traceparent)
  const answeredBy = outcome.answeredBy
  const wholeMs = facts.finishedAt - facts.arrivedAt
  const userAgent = userAgentOf(head.headers)

  let line = `,"time":${time},"requestId":${text(identity.requestId, MAX_LENGTH.requestId)}`
  if (traceId !== undefined) line += `,"traceId":"${traceId}"`
  line += `,"client":${quote(identity.clientAddress)}`
  line += `,"method":${text(head.method, MAX_LENGTH.method)}`
  line += `,"path":${text(maskTarget(head.path, head.query), MAX_LENGTH.target)}`
  line += `,"status":${outcome.status}`
  line += routeFields(route)
  line += `,"side":"${decision.side}","reason":"${decision.reason}"`
  if (answeredBy !== undefined) line += responderFields(answeredBy)
  if (outcome.failure !== undefined) line += `,"failure":"${outcome.failure}"`
  if (outcome.cause !== undefined) line += `,"error":${text(describeCause(outcome.cause), MAX_LENGTH.error)}`
  if (outcome.fallbackCause !== undefined) line += `,"fellBack":"${outcome.fallbackCause}"`
  line += `,"attempts":${outcome.attempts},"durationMs":${milliseconds(wholeMs)}`
  if (outcome.upstreamMs !== undefined) line += `,"upstreamMs":${milliseconds(outcome.upstreamMs)}`
  if (outcome.upstreamTotalMs !== undefined)
    line += `,"overheadMs":${milliseconds(Math.max(0, wholeMs - outcome.upstreamTotalMs))}`
  line += `,"requestBytes":${outcome.requestBytes},"responseBytes":${outcome.responseBytes}`
  if (userAgent !== undefined) line += `,"userAgent":${text(userAgent, MAX_LENGTH.userAgent)}`
  return `${line},"identity":"${identity.kind}"`
}

/** The fields of a request that the gateway or a middleware answered. */
export function answerFields(facts: AnswerFacts, time: number): string {
  const { head, identity, route, by, status } = facts
  let line = `,"time":${time}`
  if (identity !== undefined) line += `,"requestId":${text(identity.requestId, MAX_LENGTH.requestId)}`
  line += `,"client":${quote(identity?.clientAddress ?? head.peerAddress)}`
  line += `,"method":${text(head.method, MAX_LENGTH.method)}`
  line += `,"path":${text(maskTarget(head.path, head.query), MAX_LENGTH.target)},"status":${status}`
  if (route !== undefined) line += routeFields(route)
  return `${line},"answeredBy":"${by}","durationMs":${milliseconds(facts.finishedAt - facts.arrivedAt)}`
}

/** The fields that every request of a route has. */
const fieldsOfRoute = new WeakMap<Route, string>()

function routeFields(route: Route): string {
  const cached = fieldsOfRoute.get(route)
  if (cached !== undefined) return cached
  const context = route.context === undefined ? '' : `,"context":${quote(route.context.name)}`
  const fields = `${context},"route":${quote(route.pattern)}`
  fieldsOfRoute.set(route, fields)
  return fields
}

/** The fields of an upstream address. `Responder` is one object for each address. */
const fieldsOfResponder = new WeakMap<Responder, string>()

function responderFields(answeredBy: Responder): string {
  const cached = fieldsOfResponder.get(answeredBy)
  if (cached !== undefined) return cached
  const fields = `,"upstream":${quote(answeredBy.upstream)},"address":${quote(answeredBy.address)}`
  fieldsOfResponder.set(answeredBy, fields)
  return fields
}

/** The fields of a refused request. Its method and target can contain any bytes that a client sends. */
export function refusalFields(facts: RefusalFacts, status: number, time: number): string {
  let line = `,"time":${time},"requestId":${text(facts.requestId, MAX_LENGTH.requestId)}`
  line += `,"client":${quote(facts.peerAddress)}`
  if (facts.method !== undefined) line += `,"method":${text(facts.method, MAX_LENGTH.method)}`
  if (facts.target !== undefined) line += `,"path":${text(maskRawTarget(facts.target), MAX_LENGTH.target)}`
  line += `,"status":${status},"failure":"${facts.failure}"`
  if (facts.detail !== undefined) line += `,"error":${text(facts.detail, MAX_LENGTH.error)}`
  return `${line},"durationMs":${milliseconds(facts.finishedAt - facts.arrivedAt)}`
}

function maskRawTarget(target: string): string {
  const start = target.slice(0, MAX_LENGTH.target)
  const queryIndex = start.indexOf('?')
  return queryIndex === -1 ? maskTarget(start, '') : maskTarget(start.slice(0, queryIndex), start.slice(queryIndex))
}

function text(value: string, maxLength: number): string {
  return quote(value.length > maxLength ? value.slice(0, maxLength) : value)
}

/** Milliseconds with microseconds. Printing two whole numbers is several times faster than printing a fraction. */
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

/** The code of an error, such as `ECONNREFUSED`; without a code its message, which may contain addresses. */
function describeCause(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const { code } = cause as NodeJS.ErrnoException
  return typeof code === 'string' ? code : cause.message || cause.name
}
