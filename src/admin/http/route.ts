// One row of the table of routes, what a handler is given, and what it gives back.
import type { Response } from 'express'
import type { z } from 'zod'
import type { ChangeRequest } from '../../control/control.ts'
import type { Role } from '../../model/shared-state.ts'
import type { Actor } from '../access/verify-jwt.ts'
import type { Said } from '../contract/contract.ts'
import type { EventStreams } from './event-streams.ts'
import { Refusal } from './problem.ts'
import type { ApiServices } from './server.ts'

export type Method = 'get' | 'put' | 'post' | 'delete'

/** What the handlers share. */
export type Tools = Pick<ApiServices, 'control' | 'explain' | 'comparisons'> & { readonly streams: EventStreams }

/** One request, read and let in. */
export type Call<Input> = Circumstances & { readonly input: Input }

export type Circumstances = Tools & {
  readonly actor: Actor
  /** The context in the path, or the fingerprint of a difference; empty where the path has neither. */
  readonly id: string
  /** Who asks for a change, and why. */
  readonly order: ChangeRequest
  /** Lines of JSON are preferred to JSON. */
  readonly wantsLines: boolean
  readonly lastEventId: string | undefined
}

export type Reply<Body> = { readonly body: Body; readonly headers?: Readonly<Record<string, string>> }

/** An answer that is written bit by bit. */
export type Stream = {
  readonly headers: Readonly<Record<string, string>>
  readonly pour: (response: Response) => Promise<void>
}

export type ApiRoute = {
  readonly method: Method
  /** Below the API's own path, as Express writes it. */
  readonly path: string
  /** Whoever has this role or a higher one. */
  readonly role: Role
  readonly summary: string
  /** The body of PUT and POST, the query of GET and DELETE. */
  readonly input: z.ZodType
  readonly answer: z.ZodType
  /** It only asks, although what is asked needs a body: POST that changes nothing, and for which nobody has to say why. */
  readonly onlyAsks: boolean
  /** What else it may answer with, by media type. */
  readonly streams: string | undefined
  /** One of its stream, where that is not the answer itself. */
  readonly item: z.ZodType | undefined
  /** Takes what was said for what it means. */
  readonly read: (said: unknown) => Wish | Refusal
}

/** What is asked for, read and not yet done. */
export type Wish = {
  readonly reason: string | null
  /** The same for the same wish, however it was written. */
  readonly text: string
  readonly answer: (circumstances: Circumstances) => Promise<Answer>
}

export type Answer = Reply<unknown> | Stream | Refusal

type Row<Input extends z.ZodType, Body extends z.ZodType> = {
  readonly method: Method
  readonly path: string
  readonly role: Role
  readonly summary: string
  readonly input: Input
  readonly answer: Body
  readonly onlyAsks?: boolean
  readonly streams?: string
  readonly item?: z.ZodType
  readonly handle: (call: Call<z.output<Input>>) => Promise<Reply<Said<Body>> | Stream | Refusal>
}

/** A row whose handler sees what the schema has let through, and answers what the schema says. */
export function route<Input extends z.ZodType, Body extends z.ZodType>(row: Row<Input, Body>): ApiRoute {
  const { handle, streams, item, onlyAsks = false, ...facts } = row
  return {
    ...facts,
    onlyAsks,
    streams,
    item,
    read: (said) => {
      const { success, data: input, error } = row.input.safeParse(said)
      if (!success) return misread(row.method, error)
      return {
        reason: reasonIn(input),
        text: JSON.stringify(input),
        answer: (circumstances) => handle({ ...circumstances, input }),
      }
    },
  }
}

export function isChange({ method, onlyAsks }: Pick<ApiRoute, 'method' | 'onlyAsks'>): boolean {
  return isWrite({ method }) && !onlyAsks
}

/** No page of another origin may send it. */
export function isWrite({ method }: Pick<ApiRoute, 'method'>): boolean {
  return method !== 'get'
}

/** Where the input of a method is: a body means nothing with GET and DELETE (RFC 9110 section 9.3). */
export function hasBody({ method }: Pick<ApiRoute, 'method'>): boolean {
  return method === 'put' || method === 'post'
}

const MOST_MISTAKES = 20

function misread(method: Method, { issues }: z.ZodError): Refusal {
  const mistakes = issues.slice(0, MOST_MISTAKES).map(({ path, message }) => ({ path: path.join('.'), message }))
  return new Refusal(hasBody({ method }) ? 'bad-body' : 'bad-query', undefined, { mistakes })
}

function reasonIn(input: unknown): string | null {
  const reason = typeof input === 'object' && input !== null && 'reason' in input ? input.reason : null
  return typeof reason === 'string' ? reason : null
}
