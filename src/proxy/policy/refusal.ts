// A request turned away before it is forwarded: expected trouble, so a value and not an exception.
import type { Failure } from '../../model/failures.ts'
import { type RefusalRule, RULE_OF_FAILURE } from '../../model/refusal-rules.ts'

export class Refusal {
  readonly failure: Failure
  /** What exactly was wrong: for the log, never for the client. */
  readonly detail: string
  /** What the client is asked to bring (`WWW-Authenticate`, RFC 9110 section 11.6.1), where that is what is missing. */
  readonly challenge: string | undefined
  /** The rule that the request breaks: shown to the client. Undefined where it breaks none. */
  readonly rule: RefusalRule | undefined

  constructor(failure: Failure, detail: string, challenge?: string, rule = RULE_OF_FAILURE[failure]) {
    this.failure = failure
    this.detail = detail
    this.challenge = challenge
    this.rule = rule
  }
}
