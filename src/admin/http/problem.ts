// A refusal as a value, and the RFC 9457 document that is sent for it.
import type { Response } from 'express'
import { PROBLEMS, type Problem, type ProblemCode } from '../contract/problems.ts'

type ProblemMembers = Pick<Problem, 'mistakes' | 'known' | 'generation'>

/** The reason why a request is refused. */
export class ApiRefusal {
  readonly code: ProblemCode
  /** For the caller: what happened, to which object, and what to do next. */
  readonly detail: string | undefined
  /** For the audit log only: the caller must not learn which check failed. */
  readonly why: string | undefined
  readonly members: ProblemMembers
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: ProblemCode,
    detail?: string,
    {
      why,
      headers = {},
      ...members
    }: ProblemMembers & {
      why?: string
      headers?: Readonly<Record<string, string>>
    } = {},
  ) {
    this.code = code
    this.detail = detail
    this.why = why
    this.members = members
    this.headers = headers
  }

  get status(): number {
    return PROBLEMS[this.code].status
  }
}

/** The Retry-After field, in whole seconds and at least 1. */
export function retryAfter(seconds: number): { headers: Readonly<Record<string, string>> } {
  return { headers: { 'Retry-After': String(Math.max(1, Math.ceil(seconds))) } }
}

export function sendRefusal(response: Response, { code, detail, members, headers }: ApiRefusal): void {
  const { status, title } = PROBLEMS[code]
  const problem: Problem = {
    type: 'about:blank',
    title,
    status,
    code,
    ...(detail === undefined ? {} : { detail }),
    ...members,
  }
  response.status(status).set(headers).type('application/problem+json').send(JSON.stringify(problem))
}
