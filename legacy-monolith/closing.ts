// Open streams do not end by themselves: each registers a callback that ends it when the shop closes.

export class Closing {
  readonly #endings = new Set<() => void>()
  #closed = false

  get closed(): boolean {
    return this.#closed
  }

  onClose(end: () => void): () => void {
    this.#endings.add(end)
    return () => this.#endings.delete(end)
  }

  close(): void {
    this.#closed = true
    for (const end of this.#endings) end()
  }
}
