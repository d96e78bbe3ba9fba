// One row of the table of routes, the input of its handler, and its answer.
import type { Response } from 'express'
import type { z } from 'zod'
import type { ChangeRequest } from '../../control/control.ts'
import type { Role } from '../../model/shared-state.ts'
import type { Actor } from '../access/verify-jwt.ts'
import type { ResponseOf } from '../contract/schema-types.ts'
import type { EventStreams } from './event-streams.ts'
import { ApiRefusal } from './problem.ts'
import type { ApiServices, ProbeServices } from './services.ts'

export type Method = 'get' | 'put' | 'post' | 'delete'

/** The services that handlers use. */
export type Tools = Pick<ApiServices, 'control' | 'explain' | 'comparisons'> & { readonly streams: EventStreams }

/** One authorized request with its input. */
export type Call<Input> = CallContext & { readonly input: Input }

export type CallContext = Tools & {
  readonly actor: Actor
  /** The context, gateway or fingerprint in the path; empty if the path has no parameter. */
  readonly id: string
  /** The caller, the reason and the precondition of a change. */
  readonly changeRequest: ChangeRequest
  /** The client prefers JSON Lines to JSON. */
  readonly wantsLines: boolean
  readonly lastEventId: string | undefined
}

export type Reply<Body> = { readonly body: Body; readonly headers?: Readonly<Record<string, string>> }

/** An answer that is written piece by piece. */
export type Stream = {
  readonly headers: Readonly<Record<string, string>>
  readonly pour: (response: Response) => Promise<void>
}

/** A route for machines: GET, without a token. */
export type ProbeRoute = {
  readonly path: string
  readonly summary: string
  /** The media type of its answer. */
  readonly type: string
  /** The meaning of a 503 with an answer of that type; absent if the route never answers 503. */
  readonly unready?: string
  readonly handle: (services: ProbeServices, response: Response) => void | Promise<void>
}

export type ApiRoute = {
  readonly method: Method
  /** Relative to the path of the API, with parameters as Express writes them. */
  readonly path: string
  /** The lowest role that may call it. */
  readonly role: Role
  readonly summary: string
  /** The body of PUT and POST, the query of GET and DELETE. */
  readonly input: z.ZodType
  readonly answer: z.ZodType
  /** A POST that changes nothing and needs no reason: its input is too large for a query. */
  readonly isReadOnly: boolean
  /** The media type of a streamed answer; undefined if the route does not stream. */
  readonly streamType: string | undefined
  /** One item of the stream, if it differs from `answer`. */
  readonly streamItem: z.ZodType | undefined
  readonly parseInput: (input: unknown) => ParsedRequest | ApiRefusal
}

/** A request whose input is valid, before its handler runs. */
export type ParsedRequest = {
  readonly reason: string | null
  /** The same for two requests with the same input, whatever their spelling. */
  readonly canonicalText: string
  readonly handle: (context: CallContext) => Promise<Answer>
}

export type Answer = Reply<unknown> | Stream | ApiRefusal

type RouteRow<Input extends z.ZodType, Body extends z.ZodType> = {
  readonly method: Method
  readonly path: string
  readonly role: Role
  readonly summary: string
  readonly input: Input
  readonly answer: Body
  readonly isReadOnly?: boolean
  readonly streamType?: string
  readonly streamItem?: z.ZodType
  readonly handle: (call: Call<z.output<Input>>) => Promise<Reply<ResponseOf<Body>> | Stream | ApiRefusal>
}

/** A row whose handler gets the parsed input and must answer a value of the schema `answer`. */
export function route<Input extends z.ZodType, Body extends z.ZodType>(row: RouteRow<Input, Body>): ApiRoute {
  const { handle, streamType, streamItem, isReadOnly = false, ...facts } = row
  return {
    ...facts,
    isReadOnly,
    streamType,
    streamItem,
    parseInput: (unparsed) => {
      const { success, data: input, error } = row.input.safeParse(unparsed)
      if (!success) return invalidInput(row.method, error)
      return {
        reason: reasonOf(input),
        canonicalText: JSON.stringify(input),
        handle: (context) => handle({ ...context, input }),
      }
    },
  }
}

export function isChange({ method, isReadOnly }: Pick<ApiRoute, 'method' | 'isReadOnly'>): boolean {
  return hasWriteMethod({ method }) && !isReadOnly
}

/** Pages of other origins may not send such a request. */
export function hasWriteMethod({ method }: Pick<ApiRoute, 'method'>): boolean {
  return method !== 'get'
}

/** The input is in the body; else in the query, as a body has no meaning with GET and DELETE (RFC 9110 section 9.3). */
export function hasBody({ method }: Pick<ApiRoute, 'method'>): boolean {
  return method === 'put' || method === 'post'
}

const MAX_MISTAKES = 20

function invalidInput(method: Method, { issues }: z.ZodError): ApiRefusal {
  const mistakes = issues.slice(0, MAX_MISTAKES).map(({ path, message }) => ({ path: path.join('.'), message }))
  return new ApiRefusal(hasBody({ method }) ? 'bad-body' : 'bad-query', undefined, { mistakes })
}

function reasonOf(input: unknown): string | null {
  const reason = typeof input === 'object' && input !== null && 'reason' in input ? input.reason : null
  return typeof reason === 'string' ? reason : null
}
