// Keeps repeated problems out of the log: a poll that fails every second, or a bug that every request meets.

/** The current problem of each subject. A problem is new until it is reported, and again after it has changed or ended. */
export class ProblemMemory {
  readonly #problems = new Map<string, string>()

  /** @returns whether the subject did not have this problem before */
  isNew(subject: string, problem = ''): boolean {
    const isNew = this.#problems.get(subject) !== problem
    this.#problems.set(subject, problem)
    return isNew
  }

  /** @returns whether the subject had a problem */
  end(subject: string): boolean {
    return this.#problems.delete(subject)
  }

  clear(): void {
    this.#problems.clear()
  }
}

/** Allows one line in each interval, and counts the lines between them. */
export class LineLimiter {
  readonly #intervalMs: number
  #lastLineAt = Number.NEGATIVE_INFINITY
  #suppressed = 0

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  /**
   * @param now milliseconds of the monotonic clock
   * @returns the number of lines that were suppressed before this one; undefined if this one is suppressed too
   */
  next(now: number): number | undefined {
    if (now - this.#lastLineAt < this.#intervalMs) {
      this.#suppressed++
      return undefined
    }
    const suppressed = this.#suppressed
    this.#lastLineAt = now
    this.#suppressed = 0
    return suppressed
  }
}
