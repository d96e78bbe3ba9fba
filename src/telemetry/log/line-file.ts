// Writes lines to a file, a pipe or a terminal, in batches, without delaying the request.
//
// The destination of pino (sonic-boom) was tried first. It measures its whole buffer at every write (3.5 µs a line), throws
// into the caller if the file could not be opened, and its flush at exit never returns while the disk is full.
import { closeSync, constants, close as fsClose, mkdir, open, openSync, write, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { LineBuffer } from './line-buffer.ts'

/** A destination of complete lines. */
export type LineSink = { readonly write: (line: string) => void }

type LineFileOptions = {
  /** A path, or the descriptor of an open stream (1, 2). */
  readonly to: string | number
  /** A batch is written when it has this many bytes, or when the flush timer fires. 0 writes each line as soon as possible. */
  readonly batchBytes?: number
  /** Called once with an error when writing begins to fail, and once without an error when it works again. */
  readonly onTrouble?: (error: Error | undefined) => void
}

type Batch = { readonly bytes: Buffer; readonly lines: number; written: number }

const FLUSH_MS = 250
const REOPEN_MS = 1000
const BUSY_MS = 50
const CLOSE_MS = 2000
/** Lines beyond this size are dropped: a full disk must not fill the memory. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024
/** Non-blocking: a pipe without a reader returns an error instead of blocking a thread. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK
const MODE = 0o640

export class LineFile implements LineSink {
  readonly #path: string | undefined
  readonly #batchBytes: number
  readonly #onTrouble: (error: Error | undefined) => void
  readonly #timer: NodeJS.Timeout
  #descriptor: number | undefined
  #waiting: LineBuffer
  #spare: LineBuffer
  #lost = 0
  /** The batch that is being written. */
  #batch: Batch | undefined
  #isOpening = false
  #mustReopen = false
  #nextOpenAt = 0
  #hasTrouble = false
  #isReaderGone = false
  #isClosed = false
  /** The last batch ended inside of a line: the next one begins with a line break. */
  #isTorn = false
  /** Called when nothing is left to write, or nothing can be written. */
  #onIdle: (() => void) | undefined

  constructor({ to, batchBytes = 256 * 1024, onTrouble = () => {} }: LineFileOptions) {
    this.#path = typeof to === 'string' ? to : undefined
    this.#descriptor = typeof to === 'number' ? to : undefined
    this.#batchBytes = batchBytes
    this.#onTrouble = onTrouble
    this.#waiting = new LineBuffer(2 * batchBytes)
    this.#spare = new LineBuffer(2 * batchBytes)
    this.#timer = setInterval(() => this.#flush(), FLUSH_MS).unref()
    this.#openPath()
  }

  /** Adds a line, which ends with a line break. Never throws, never blocks; a line that is dropped is counted. */
  write(line: string): void {
    if (this.#isReaderGone || this.#isClosed || this.#waiting.length > MAX_WAITING_BYTES) {
      this.#lost++
      return
    }
    this.#waiting.add(line)
    if (this.#waiting.length > this.#batchBytes) this.#flush()
  }

  /** The number of lines that were not written. */
  lost(): number {
    return this.#lost
  }

  /** Opens the path again, after a log rotation has renamed the old file. */
  reopen(): void {
    if (this.#path === undefined || this.#isClosed) return
    this.#mustReopen = true
    this.#nextOpenAt = 0
    this.#flush()
  }

  /** Writes the waiting lines synchronously, in one attempt: for the last moments of a process. */
  flushSync(): void {
    if (this.#waiting.length === 0) return
    try {
      const target = this.#descriptor ?? openSync(this.#path!, FLAGS, MODE)
      writeSync(target, this.#waiting.take(false))
      if (this.#descriptor === undefined) closeSync(target)
    } catch {
      this.#lost += this.#waiting.lines
    }
    this.#waiting.clear()
  }

  /** Writes the waiting lines, within two seconds, and closes the file. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    await new Promise<void>((resolve) => {
      const limit = setTimeout(resolve, CLOSE_MS)
      this.#onIdle = () => {
        clearTimeout(limit)
        resolve()
      }
      this.#flush()
    })
    this.#isClosed = true
    clearInterval(this.#timer)
    this.#lost += this.#waiting.lines
    this.#waiting.clear()
    if (this.#path !== undefined && this.#descriptor !== undefined && this.#batch === undefined)
      fsClose(this.#descriptor, () => {})
  }

  #flush(): void {
    if (this.#batch !== undefined || this.#isOpening) return
    if (this.#mustReopen || this.#descriptor === undefined) this.#openPath()
    if (this.#isOpening || this.#descriptor === undefined || this.#waiting.length === 0) {
      this.#reportIdle()
      return
    }
    const full = this.#waiting
    this.#batch = { bytes: full.take(this.#isTorn), lines: full.lines, written: 0 }
    // The bytes of the batch must not change until they are written: the other buffer collects lines meanwhile.
    this.#waiting = this.#spare
    this.#spare = full
    this.#waiting.clear()
    this.#writeBatch(this.#batch)
  }

  #writeBatch(batch: Batch): void {
    const { bytes, written } = batch
    write(this.#descriptor!, bytes, written, bytes.length - written, null, (error, count) => {
      if (error === null) this.#continueBatch(batch, count)
      else if (error.code === 'EAGAIN') setTimeout(() => this.#writeBatch(batch), BUSY_MS).unref()
      else this.#dropBatch(batch, error)
    })
  }

  #continueBatch(batch: Batch, count: number): void {
    batch.written += count
    if (batch.written < batch.bytes.length) {
      this.#writeBatch(batch)
      return
    }
    this.#batch = undefined
    this.#isTorn = false
    this.#reportRecovery()
    if (this.#waiting.length > this.#batchBytes || this.#onIdle !== undefined) this.#flush()
    this.#reportIdle()
  }

  #dropBatch(batch: Batch, error: NodeJS.ErrnoException): void {
    this.#lost += batch.lines
    this.#isTorn ||= batch.written > 0
    this.#batch = undefined
    // The reader of this pipe has ended, and cannot return.
    if (error.code === 'EPIPE' && this.#path === undefined) this.#isReaderGone = true
    this.#reportTrouble(error)
    this.#reportIdle()
  }

  #openPath(): void {
    const path = this.#path
    if (path === undefined || this.#isClosed || performance.now() < this.#nextOpenAt) return
    this.#isOpening = true
    this.#mustReopen = false
    const onOpened = (error: NodeJS.ErrnoException | null, descriptor: number) => this.#onOpened(error, descriptor)
    mkdir(dirname(path), { recursive: true }, () => {
      try {
        open(path, FLAGS, MODE, onOpened)
      } catch (error) {
        // An invalid path, such as one that contains a NUL.
        onOpened(error as NodeJS.ErrnoException, -1)
      }
    })
  }

  #onOpened(error: NodeJS.ErrnoException | null, descriptor: number): void {
    this.#isOpening = false
    if (error !== null) {
      this.#nextOpenAt = performance.now() + REOPEN_MS
      // Lines go to the old file, if it is still open.
      this.#mustReopen = this.#descriptor !== undefined
      this.#reportTrouble(error)
      this.#reportIdle()
      return
    }
    if (this.#descriptor !== undefined) fsClose(this.#descriptor, () => {})
    this.#descriptor = descriptor
    if (this.#waiting.length === 0) this.#reportRecovery()
    if (this.#onIdle !== undefined) this.#flush()
  }

  #reportIdle(): void {
    if (this.#batch !== undefined || this.#isOpening) return
    if (this.#waiting.length === 0 || this.#descriptor === undefined || this.#isReaderGone) this.#onIdle?.()
  }

  #reportTrouble(error: Error): void {
    if (this.#hasTrouble) return
    this.#hasTrouble = true
    this.#onTrouble(error)
  }

  #reportRecovery(): void {
    if (!this.#hasTrouble) return
    this.#hasTrouble = false
    this.#onTrouble(undefined)
  }
}
