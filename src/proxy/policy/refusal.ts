// A request that is refused before it is forwarded: an expected result, so a value and not an exception.
import type { Failure } from '../../model/failures.ts'
import { type RefusalRule, RULE_OF_FAILURE } from '../../model/refusal-rules.ts'

export class Refusal {
  readonly failure: Failure
  /** The cause, for the log. The client never sees it. */
  readonly detail: string
  /** The `WWW-Authenticate` value (RFC 9110 section 11.6.1) if a token is missing or not sufficient. */
  readonly challenge: string | undefined
  /** The rule that the request breaks, which the client sees; undefined if it breaks no rule. */
  readonly rule: RefusalRule | undefined

  constructor(failure: Failure, detail: string, challenge?: string, rule = RULE_OF_FAILURE[failure]) {
    this.failure = failure
    this.detail = detail
    this.challenge = challenge
    this.rule = rule
  }
}

export const LOOP = new Refusal('loop', 'the name of this gateway in Via or CDN-Loop')
export const CLIENT_GONE = new Refusal('client-gone', 'while its token’s key was fetched')
