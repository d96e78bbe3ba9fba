// Builds the OpenAPI 3.1 document from the table of routes and its schemas.
import { z } from 'zod'
import { API, EVENT_STREAM, PATHS } from '../contract/api-paths.ts'
import { auditPage, auditRecord } from '../contract/audit.ts'
import { changeEvent } from '../contract/change-event.ts'
import { changeResponse } from '../contract/change-requests.ts'
import {
  differenceResponse,
  differenceSummary,
  differencesResponse,
  exportedRequest,
  parityResponse,
  ruleTrial,
} from '../contract/comparisons.ts'
import { contextResponse, contextsResponse, killSwitchResponse } from '../contract/contexts.ts'
import { explanation } from '../contract/explanation.ts'
import { fleetResponse, memberResponse } from '../contract/fleet-response.ts'
import { PROBLEMS, type ProblemCode, problem } from '../contract/problems.ts'
import { statusResponse } from '../contract/status.ts'
import { type ApiRoute, hasBody, hasWriteMethod, isChange, type ProbeRoute } from './api-route.ts'

type Json = Readonly<Record<string, unknown>>

/** Schemas with a name in the document; all others are written where they are used. */
const NAMED_SCHEMAS = {
  Status: statusResponse,
  Contexts: contextsResponse,
  Context: contextResponse,
  KillSwitch: killSwitchResponse,
  Done: changeResponse,
  Member: memberResponse,
  Fleet: fleetResponse,
  Parity: parityResponse,
  Differences: differencesResponse,
  DifferenceRow: differenceSummary,
  Difference: differenceResponse,
  RuleTrial: ruleTrial,
  Export: exportedRequest,
  AuditRecord: auditRecord,
  AuditPage: auditPage,
  Explained: explanation,
  Change: changeEvent,
  Problem: problem,
} as const satisfies Readonly<Record<string, z.ZodType>>

const uri = (id: string) => `#/components/schemas/${id}`

/** Builds the document. Objects in answers are open: a later version may add members without breaking a client. */
export function createOpenApi(
  probeRoutes: readonly ProbeRoute[],
  routes: readonly ApiRoute[],
): { openapi: string } & Json {
  return {
    openapi: '3.1.0',
    info: { title: 'strangler-gateway admin API', version: '1', description: 'The guide is docs/api.md.' },
    paths: pathsOf(probeRoutes, routes),
    components: {
      schemas: namedSchemas(),
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
    },
    security: [{ bearer: [] }],
  }
}

function pathsOf(probeRoutes: readonly ProbeRoute[], routes: readonly ApiRoute[]): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const route of probeRoutes) paths[route.path] = { get: probeOperation(route) }
  for (const route of routes) {
    const path = documentPath(route.path)
    paths[path] = { ...paths[path], [route.method]: apiOperation(route) }
  }
  return paths
}

/** Converts `/contexts/:id` to `/api/v1/contexts/{id}`. */
function documentPath(path: string): string {
  return `${API}${path.replace(/:(\w+)/g, '{$1}')}`
}

function probeOperation({ summary, type, unready }: ProbeRoute): Json {
  const answer = { content: { [type]: {} } }
  const responses = {
    200: { description: summary, ...answer },
    ...(unready === undefined ? {} : { 503: { description: unready, ...answer } }),
    ...refusals(['foreign-host', 'bug']),
  }
  return { summary, security: [], responses }
}

function apiOperation(route: ApiRoute): Json {
  const input = z.toJSONSchema(route.input, { io: 'input' })
  return {
    summary: route.summary,
    'x-role': route.role,
    parameters: [...pathParameters(route), ...(hasBody(route) ? [] : queryParameters(input)), ...headers(route)],
    ...(hasBody(route) ? { requestBody: bodyOf(input) } : {}),
    responses: { 200: { description: 'Done', content: contentOf(route) }, ...refusals(codesOf(route)) },
  }
}

function bodyOf(input: z.core.JSONSchema.BaseSchema): Json {
  const required = (input.required ?? []).length > 0
  return { required, content: { 'application/json': { schema: withoutDialect(input) } } }
}

function contentOf({ answer, streamItem: item, streamType: streams }: ApiRoute): Json {
  if (streams === undefined) return { 'application/json': { schema: answerSchema(answer) } }
  // OpenAPI 3.1 cannot describe a stream of items; 3.2 has itemSchema for it.
  const stream = { [streams]: { 'x-item-schema': answerSchema(item ?? answer) } }
  return item === undefined ? stream : { 'application/json': { schema: answerSchema(answer) }, ...stream }
}

function pathParameters({ path }: ApiRoute): Json[] {
  const names = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name)
  return names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } }))
}

function queryParameters({ properties = {}, required = [] }: z.core.JSONSchema.BaseSchema): Json[] {
  return Object.entries(properties).map(([name, schema]) => {
    return { name, in: 'query', required: required.includes(name), schema }
  })
}

function headers(route: ApiRoute): Json[] {
  const schema = { type: 'string' }
  return headersRead(route).map((name) => ({ name, in: 'header', required: false, schema }))
}

function headersRead(route: ApiRoute): readonly string[] {
  if (isChange(route)) return ['If-Match', 'Idempotency-Key']
  return route.streamType === EVENT_STREAM ? ['Last-Event-ID'] : []
}

/** The problems that the route may answer, by status. */
function refusals(codes: readonly ProblemCode[]): Json {
  const byStatus = Map.groupBy(codes, (code) => PROBLEMS[code].status)
  const content = { 'application/problem+json': { schema: { $ref: uri('Problem') } } }
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [status, { description: codes.join(', '), content }]),
  )
}

const CHANGE_CODES: readonly ProblemCode[] = [
  'refused',
  'conflict',
  'in-progress',
  'precondition-failed',
  'key-reused',
  'reason-required',
]
const BODY_CODES: readonly ProblemCode[] = ['not-json', 'not-json-type', 'body-too-large', 'bad-body']

function codesOf(route: ApiRoute): ProblemCode[] {
  return (Object.keys(PROBLEMS) as ProblemCode[]).filter((code) => mayAnswer(route, code))
}

function mayAnswer(route: ApiRoute, code: ProblemCode): boolean {
  if (code === 'unknown-context') return route.path.includes(':id') || (isChange(route) && isOfDifference(route))
  if (code === 'unknown-difference') return isOfDifference(route)
  if (code === 'not-exportable') return route.path === PATHS.export
  if (code === 'foreign-origin') return hasWriteMethod(route)
  if (code === 'too-many-streams') return route.streamType === EVENT_STREAM
  if (CHANGE_CODES.includes(code)) return isChange(route)
  if (BODY_CODES.includes(code)) return hasBody(route)
  return code !== 'not-found' && code !== 'method-not-allowed'
}

function isOfDifference({ path }: ApiRoute): boolean {
  return path.startsWith(PATHS.difference)
}

function answerSchema(answer: z.ZodType): Json {
  const name = Object.entries(NAMED_SCHEMAS).find(([, schema]) => schema === answer)?.[0]
  return name === undefined ? open(withoutDialect(z.toJSONSchema(answer))) : { $ref: uri(name) }
}

function namedSchemas(): Json {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(NAMED_SCHEMAS)) registry.add(schema, { id })
  const { schemas } = z.toJSONSchema(registry, { uri })
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, open(withoutDialect(schema))]))
}

/** OpenAPI 3.1 declares the dialect for the whole document, and names components by their key. */
function withoutDialect({ $schema: _, $id: __, ...schema }: z.core.JSONSchema.BaseSchema): Json {
  return schema
}

function open(schema: Json): Json {
  return JSON.parse(JSON.stringify(schema), (_key, value) => {
    if (typeof value === 'object' && value !== null && value.additionalProperties === false)
      delete value.additionalProperties
    return value
  })
}
