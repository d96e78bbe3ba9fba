// Lines as bytes in one buffer. Each line is encoded when it is added: a batch of strings would be a tree of thousands of
// small strings, which the garbage collector walks and the writer has to flatten.

const NEWLINE = 0x0a
/** UTF-8 needs at most three bytes for a UTF-16 unit. */
const MAX_BYTES_PER_UNIT = 3
const MIN_BYTES = 1024

export class LineBuffer {
  #bytes: Buffer
  /** The index of the next line. The first byte is a line break, which only some batches need: see `take`. */
  #end = 1
  #lines = 0

  /** @param size bytes; the buffer grows if a line does not fit */
  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafe(Math.max(size, MIN_BYTES))
    this.#bytes[0] = NEWLINE
  }

  /** In bytes. */
  get length(): number {
    return this.#end - 1
  }

  get lines(): number {
    return this.#lines
  }

  add(line: string): void {
    const maxEnd = this.#end + line.length * MAX_BYTES_PER_UNIT
    if (maxEnd > this.#bytes.length) this.#grow(maxEnd)
    this.#end += this.#bytes.write(line, this.#end)
    this.#lines++
  }

  /** All lines, after a line break if the last batch ended inside of a line. The bytes are valid until `clear`. */
  take(isTorn: boolean): Buffer {
    return this.#bytes.subarray(isTorn ? 0 : 1, this.#end)
  }

  clear(): void {
    this.#end = 1
    this.#lines = 0
  }

  #grow(minBytes: number): void {
    const larger = Buffer.allocUnsafe(Math.max(minBytes, 2 * this.#bytes.length))
    this.#bytes.copy(larger, 0, 0, this.#end)
    this.#bytes = larger
  }
}
