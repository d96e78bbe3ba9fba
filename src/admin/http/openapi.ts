// The OpenAPI 3.1 document of the table of routes, from the schemas that read and check what is said.
import { z } from 'zod'
import * as contract from '../contract/contract.ts'
import { API, EVENT_STREAM, PROBLEMS, type ProblemCode } from '../contract/contract.ts'
import { type ApiRoute, hasBody, isChange, isWrite } from './route.ts'
import type { OpenRoute } from './routes.ts'

type Json = Readonly<Record<string, unknown>>

/** Schemas that have a name in the document; all others are said where they are used. */
const ANSWERS = {
  Status: contract.statusView,
  Contexts: contract.contextsView,
  Context: contract.contextView,
  KillSwitch: contract.killSwitch,
  Done: contract.done,
  Member: contract.member,
  Fleet: contract.fleetView,
  Parity: contract.parityView,
  Differences: contract.differencesView,
  DifferenceRow: contract.differenceRow,
  Difference: contract.differenceView,
  RuleTrial: contract.ruleTrial,
  Export: contract.exportedRequest,
  AuditRecord: contract.auditRecord,
  AuditPage: contract.auditPage,
  Explained: contract.explained,
  Change: contract.changeEvent,
  Problem: contract.problem,
} as const satisfies Readonly<Record<string, z.ZodType>>

const uri = (id: string) => `#/components/schemas/${id}`

/** The document. Objects in answers may have more members one day: that is no break. */
export function openapi(openRoutes: readonly OpenRoute[], routes: readonly ApiRoute[]): { openapi: string } & Json {
  return {
    openapi: '3.1.0',
    info: { title: 'strangler-gateway admin API', version: '1', description: 'docs/api.md tells more.' },
    paths: pathsOf(openRoutes, routes),
    components: {
      schemas: namedSchemas(),
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
    },
    security: [{ bearer: [] }],
  }
}

function pathsOf(openRoutes: readonly OpenRoute[], routes: readonly ApiRoute[]): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const one of openRoutes) paths[one.path] = { get: openOperation(one) }
  for (const one of routes) {
    const path = documentPath(one.path)
    paths[path] = { ...paths[path], [one.method]: operation(one) }
  }
  return paths
}

/** `/contexts/:id` is `/api/v1/contexts/{id}`. */
export function documentPath(path: string): string {
  return `${API}${path.replace(/:(\w+)/g, '{$1}')}`
}

function openOperation({ summary, type, unready }: OpenRoute): Json {
  const answer = { content: { [type]: {} } }
  const responses = {
    200: { description: summary, ...answer },
    ...(unready === undefined ? {} : { 503: { description: unready, ...answer } }),
    ...refusals(['foreign-host', 'bug']),
  }
  return { summary, security: [], responses }
}

function operation(route: ApiRoute): Json {
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

function contentOf({ answer, item, streams }: ApiRoute): Json {
  if (streams === undefined) return { 'application/json': { schema: answerSchema(answer) } }
  // 3.1 has no word for a stream of one thing after another; 3.2 calls this itemSchema.
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
  return route.streams === EVENT_STREAM ? ['Last-Event-ID'] : []
}

/** What may be answered instead, by status. */
function refusals(codes: readonly ProblemCode[]): Json {
  const byStatus = Map.groupBy(codes, (code) => PROBLEMS[code].status)
  const content = { 'application/problem+json': { schema: { $ref: uri('Problem') } } }
  return Object.fromEntries([...byStatus].map(([status, all]) => [status, { description: all.join(', '), content }]))
}

const OF_CHANGES: readonly ProblemCode[] = [
  'refused',
  'conflict',
  'in-progress',
  'precondition-failed',
  'key-reused',
  'reason-required',
]
const OF_BODIES: readonly ProblemCode[] = ['not-json', 'not-json-type', 'body-too-large', 'bad-body']

function codesOf(route: ApiRoute): ProblemCode[] {
  return (Object.keys(PROBLEMS) as ProblemCode[]).filter((code) => mayAnswer(route, code))
}

function mayAnswer(route: ApiRoute, code: ProblemCode): boolean {
  if (code === 'unknown-context') return route.path.includes(':id') || (isChange(route) && isOfDifference(route))
  if (code === 'unknown-difference') return isOfDifference(route)
  if (code === 'not-exportable') return route.path === contract.PATHS.export
  if (code === 'foreign-origin') return isWrite(route)
  if (code === 'too-many-streams') return route.streams === EVENT_STREAM
  if (OF_CHANGES.includes(code)) return isChange(route)
  if (OF_BODIES.includes(code)) return hasBody(route)
  return code !== 'not-found' && code !== 'method-not-allowed'
}

function isOfDifference({ path }: ApiRoute): boolean {
  return path.startsWith(contract.PATHS.difference)
}

function answerSchema(answer: z.ZodType): Json {
  const name = Object.entries(ANSWERS).find(([, schema]) => schema === answer)?.[0]
  return name === undefined ? open(withoutDialect(z.toJSONSchema(answer))) : { $ref: uri(name) }
}

function namedSchemas(): Json {
  const registry = z.registry<{ id: string }>()
  for (const [id, schema] of Object.entries(ANSWERS)) registry.add(schema, { id })
  const { schemas } = z.toJSONSchema(registry, { uri })
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, open(withoutDialect(schema))]))
}

/** OpenAPI 3.1 has the dialect already, and no other name for what stands in its components. */
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
