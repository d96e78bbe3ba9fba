// Runs work at the end of the current turn of the event loop, with one scheduled callback for all items of the turn.

/** Collects items and passes each to `run` when the scheduled callback comes. One batch serves all requests. */
export class TurnBatch<Item> {
  readonly #schedule: (callback: () => void) => void
  readonly #run: (item: Item) => void
  #items: Item[] = []

  /**
   * @param schedule `queueMicrotask` (behind the code that runs now) or `setImmediate` (behind all input that has arrived)
   * @param run must not throw: an error would drop the items behind it
   */
  constructor(schedule: (callback: () => void) => void, run: (item: Item) => void) {
    this.#schedule = schedule
    this.#run = run
  }

  add(item: Item): void {
    if (this.#items.push(item) === 1) this.#schedule(this.#runAll)
  }

  readonly #runAll = (): void => {
    const items = this.#items
    this.#items = []
    for (const item of items) this.#run(item)
  }
}
