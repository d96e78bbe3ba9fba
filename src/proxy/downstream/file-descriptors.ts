// Detects that the process has run out of file descriptors.
import { closeSync, openSync } from 'node:fs'
import { devNull } from 'node:os'

const INTERVAL_MS = 1000

/**
 * libuv drops a connection that it cannot accept for lack of a file descriptor, and does not report it. So this opens
 * and closes one descriptor every second.
 *
 * @returns a function that stops it
 */
export function watchFileDescriptors(onFailure: (error: unknown) => void): () => void {
  const timer = setInterval(() => {
    try {
      closeSync(openSync(devNull, 'r'))
    } catch (error) {
      onFailure(error)
    }
  }, INTERVAL_MS)
  timer.unref()
  return () => clearInterval(timer)
}
