// Lines as bytes, one behind the other. Each line is made bytes as it comes: kept as text, a batch is a tree of
// thousands of little strings that the collector walks and the writer has to flatten.

const NEWLINE = 0x0a
/** UTF-8 takes at most three bytes for a UTF-16 unit. */
const MOST_BYTES_PER_UNIT = 3

export class LineBuffer {
  #bytes: Buffer
  /** Where the next line goes. The first byte is a line break for whoever needs one (see `take`). */
  #end = 1
  #lines = 0

  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafe(Math.max(size, 1024))
    this.#bytes[0] = NEWLINE
  }

  get length(): number {
    return this.#end - 1
  }

  get lines(): number {
    return this.#lines
  }

  add(line: string): void {
    const most = this.#end + line.length * MOST_BYTES_PER_UNIT
    if (most > this.#bytes.length) this.#grow(most)
    this.#end += this.#bytes.write(line, this.#end)
    this.#lines++
  }

  /** All of it, after a line break if the last batch was torn. The bytes stand until `clear`. */
  take(isTorn: boolean): Buffer {
    return this.#bytes.subarray(isTorn ? 0 : 1, this.#end)
  }

  clear(): void {
    this.#end = 1
    this.#lines = 0
  }

  #grow(least: number): void {
    const grown = Buffer.allocUnsafe(Math.max(least, 2 * this.#bytes.length))
    this.#bytes.copy(grown, 0, 0, this.#end)
    this.#bytes = grown
  }
}
