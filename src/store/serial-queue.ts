/** Runs asynchronous tasks one after the other. A task that fails does not stop the tasks behind it. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve()

  /** @returns the result of the task @throws the error of the task */
  run<Result>(task: () => Promise<Result>): Promise<Result> {
    const result = this.#last.then(task)
    this.#last = result.catch(() => {})
    return result
  }
}
