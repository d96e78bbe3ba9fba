// Lines on their way to a file, a pipe or a terminal: gathered, written behind the request's back, never in its way.
//
// pino's own destination (sonic-boom) was tried first: it measures its whole buffer at every write (3.5 µs a line),
// throws into the caller when the file could not be opened, and its flush at exit never returns while a disk is full.
import { closeSync, constants, close as fsClose, mkdir, open, openSync, write, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { LineBuffer } from './line-buffer.ts'

export type LineFile = {
  /** Takes one line with its newline. Never throws, never blocks; a line that cannot be kept is counted. */
  readonly write: (line: string) => void
  /** Lines that were never written. */
  readonly lost: () => number
  /** Opens the path anew, after a log rotation moved the old file away. */
  readonly reopen: () => void
  /** For the last moments of a process: one attempt, synchronous. */
  readonly flushSync: () => void
  /** Writes what is left, waiting no longer than two seconds for it. */
  readonly close: () => Promise<void>
}

export type LineFileOptions = {
  /** A path, or the descriptor of a stream that is open already (1, 2). */
  readonly to: string | number
  /** Write once this much has gathered, or when the flush timer fires. 0 writes each line as soon as possible. */
  readonly batchBytes?: number
  /** Called once when writing begins to fail and once, without an error, when it works again. */
  readonly onTrouble?: (error: Error | undefined) => void
}

const FLUSH_MS = 250
const REOPEN_MS = 1000
const BUSY_MS = 50
const CLOSE_MS = 2000
/** What may wait for a slow disk; beyond it lines are dropped, so that a full disk is not a full memory. */
const MOST_WAITING = 16 * 1024 * 1024
/** Not blocking, so that a pipe nobody reads is an error to retry and not a thread that hangs. */
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK
const MODE = 0o640

export function lineFile({ to, batchBytes = 256 * 1024, onTrouble = () => {} }: LineFileOptions): LineFile {
  const path = typeof to === 'string' ? to : undefined
  let descriptor = typeof to === 'number' ? to : undefined
  let waiting = new LineBuffer(2 * batchBytes)
  let spare = new LineBuffer(2 * batchBytes)
  let lost = 0
  /** The batch being written, and how much of it has been. */
  let batch: Buffer | undefined
  let batchLines = 0
  let written = 0
  let opening = false
  let reopenWanted = false
  let nextOpenAt = 0
  let inTrouble = false
  let isGone = false
  let isClosed = false
  /** A batch was cut in the middle of a line: the next one begins on a line of its own. */
  let isTorn = false
  let onIdle: (() => void) | undefined

  const timer = setInterval(flush, FLUSH_MS)
  timer.unref()
  openPath()

  return { write: append, lost: () => lost, reopen, flushSync, close }

  function append(line: string): void {
    if (isGone || isClosed || waiting.length > MOST_WAITING) {
      lost++
      return
    }
    waiting.add(line)
    if (waiting.length > batchBytes) flush()
  }

  function flush(): void {
    if (batch !== undefined || opening) return
    if (reopenWanted || descriptor === undefined) openPath()
    if (opening || descriptor === undefined || waiting.length === 0) {
      settle()
      return
    }
    batch = waiting.take(isTorn)
    batchLines = waiting.lines
    written = 0
    // What is being written stands still until it is; the other of the two gathers meanwhile.
    const emptied = spare
    spare = waiting
    waiting = emptied
    waiting.clear()
    writeBatch()
  }

  function writeBatch(): void {
    write(descriptor!, batch!, written, batch!.length - written, null, (error, bytes) => {
      if (error === null) return wrote(bytes)
      if (error.code === 'EAGAIN') return void setTimeout(writeBatch, BUSY_MS).unref()
      failed(error)
    })
  }

  function wrote(bytes: number): void {
    written += bytes
    if (written < batch!.length) {
      writeBatch()
      return
    }
    batch = undefined
    isTorn = false
    recovered()
    if (waiting.length > batchBytes || onIdle !== undefined) flush()
    settle()
  }

  function failed(error: NodeJS.ErrnoException): void {
    lost += batchLines
    isTorn = written > 0 || isTorn
    batch = undefined
    // The reader of our pipe has gone for good.
    if (error.code === 'EPIPE' && path === undefined) isGone = true
    troubled(error)
    settle()
  }

  function openPath(): void {
    if (path === undefined || isClosed || performance.now() < nextOpenAt) return
    opening = true
    reopenWanted = false
    mkdir(dirname(path), { recursive: true }, () => {
      try {
        open(path, FLAGS, MODE, opened)
      } catch (error) {
        // A path that could never be one, such as one with a NUL in it.
        opened(error as NodeJS.ErrnoException, -1)
      }
    })
  }

  function opened(error: NodeJS.ErrnoException | null, newDescriptor: number): void {
    opening = false
    if (error !== null) {
      nextOpenAt = performance.now() + REOPEN_MS
      // An old file that is still open is better than none.
      reopenWanted = descriptor !== undefined
      troubled(error)
      settle()
      return
    }
    if (descriptor !== undefined) fsClose(descriptor, () => {})
    descriptor = newDescriptor
    if (waiting.length === 0) recovered()
    if (onIdle !== undefined) flush()
  }

  function reopen(): void {
    if (path === undefined || isClosed) return
    reopenWanted = true
    nextOpenAt = 0
    flush()
  }

  function flushSync(): void {
    if (waiting.length === 0) return
    try {
      const target = descriptor ?? openSync(path!, FLAGS, MODE)
      writeSync(target, waiting.take(false))
      if (descriptor === undefined) closeSync(target)
    } catch {
      lost += waiting.lines
    }
    waiting.clear()
  }

  async function close(): Promise<void> {
    if (isClosed) return
    await new Promise<void>((resolve) => {
      const limit = setTimeout(resolve, CLOSE_MS)
      onIdle = () => {
        clearTimeout(limit)
        resolve()
      }
      flush()
    })
    isClosed = true
    clearInterval(timer)
    lost += waiting.lines
    waiting.clear()
    if (path !== undefined && descriptor !== undefined && batch === undefined) fsClose(descriptor, () => {})
  }

  /** Tells `close` that there is nothing more to wait for. */
  function settle(): void {
    if (batch !== undefined || opening) return
    if (waiting.length === 0 || descriptor === undefined || isGone) onIdle?.()
  }

  function troubled(error: Error): void {
    if (inTrouble) return
    inTrouble = true
    onTrouble(error)
  }

  function recovered(): void {
    if (!inTrouble) return
    inTrouble = false
    onTrouble(undefined)
  }
}
