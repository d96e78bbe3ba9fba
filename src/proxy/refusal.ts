// A request turned away before it is forwarded: expected trouble, so a value and not an exception.
import type { Failure } from '../model/outcome.ts'

export class Refusal {
  readonly failure: Failure
  /** What exactly was wrong: for the log, never for the client. */
  readonly detail: string
  /** What the client is asked to bring (`WWW-Authenticate`, RFC 9110 section 11.6.1), where that is what is missing. */
  readonly challenge: string | undefined

  constructor(failure: Failure, detail: string, challenge?: string) {
    this.failure = failure
    this.detail = detail
    this.challenge = challenge
  }
}
