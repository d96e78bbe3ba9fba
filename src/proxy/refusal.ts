// A request turned away before it is forwarded: expected trouble, so a value and not an exception.
import type { Failure } from '../model/outcome.ts'

export class Refusal {
  readonly failure: Failure
  /** What exactly was wrong: for the log, never for the client. */
  readonly detail: string

  constructor(failure: Failure, detail: string) {
    this.failure = failure
    this.detail = detail
  }
}
