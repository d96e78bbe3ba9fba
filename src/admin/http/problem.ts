// Why something was not done, as a value, and as the RFC 9457 document that it becomes.
import type { Response } from 'express'
import { PROBLEMS, type Problem, type ProblemCode } from '../contract/contract.ts'

type More = Pick<Problem, 'mistakes' | 'known' | 'generation'>

/** A request that is not answered as it wished. */
export class Refusal {
  readonly code: ProblemCode
  /** For whoever asked: what happened, to what, and what to do. */
  readonly detail: string | undefined
  /** For the audit log alone, where whoever asked must not know how far they came. */
  readonly why: string | undefined
  readonly more: More
  readonly headers: Readonly<Record<string, string>>

  constructor(
    code: ProblemCode,
    detail?: string,
    { why, headers = {}, ...more }: More & { why?: string; headers?: Readonly<Record<string, string>> } = {},
  ) {
    this.code = code
    this.detail = detail
    this.why = why
    this.more = more
    this.headers = headers
  }

  get status(): number {
    return PROBLEMS[this.code].status
  }
}

/** To be asked again later. */
export function retryAfter(seconds: number): { headers: Readonly<Record<string, string>> } {
  return { headers: { 'Retry-After': String(Math.max(1, Math.ceil(seconds))) } }
}

export function sendRefusal(response: Response, { code, detail, more, headers }: Refusal): void {
  const { status, title } = PROBLEMS[code]
  const problem: Problem = {
    type: 'about:blank',
    title,
    status,
    code,
    ...(detail === undefined ? {} : { detail }),
    ...more,
  }
  response.status(status).set(headers).type('application/problem+json').send(JSON.stringify(problem))
}
