/** Reports an error once until another error occurs or the operation succeeds: Redis is read every second. */
export class ErrorReporter {
  readonly #report: (error: Error) => void
  #lastMessage: string | undefined

  constructor(report: (error: Error) => void) {
    this.#report = report
  }

  report(error: Error): void {
    if (this.#lastMessage === error.message) return
    this.#lastMessage = error.message
    this.#report(error)
  }

  /** The operation has succeeded: the same error is reported again if it returns. */
  reset(): void {
    this.#lastMessage = undefined
  }
}
