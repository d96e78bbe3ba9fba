// A limit on the bytes that all of its users hold together.

export class ByteBudget {
  readonly #maxBytes: () => number
  #usedBytes = 0

  constructor(maxBytes: () => number) {
    this.#maxBytes = maxBytes
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** @returns whether the bytes fit; only then they are reserved */
  reserve(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.#maxBytes()) return false
    this.#usedBytes += bytes
    return true
  }

  release(bytes: number): void {
    this.#usedBytes -= bytes
  }
}
