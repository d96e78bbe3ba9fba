// How V8 collects garbage where it runs a gateway. docs/adr/0009-how-garbage-is-collected.md has the figures.
import { accessSync, constants } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, isAbsolute } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { isMainThread } from 'node:worker_threads'

const ONE_THREAD = '--single-threaded-gc'

/** Called first of all: what is compiled before goes by the old rules. It may begin the process anew, under the same number. */
export function tuneCollector() {
  // What lives long in the first seconds, while the rest is still being compiled, V8 would put among the old for good:
  // objects of one request each, that keep alive whatever they point to until the next full collection.
  setFlagsFromString('--no-allocation-site-pretenuring')
  // The helpers would share the only processor with the thread that waits for them.
  if (availableParallelism() === 1 && mayBeginAnew()) beginAnew()
}

function beginAnew() {
  const { execPath, execArgv, argv, env } = process
  try {
    process.execve(execPath, [execPath, ONE_THREAD, ...execArgv, ...argv.slice(1)], env)
  } catch {
    // The system does not let it: it goes on as it is, only slower at its slowest.
  }
}

function mayBeginAnew() {
  // Said by whoever started it, one way or the other, or said below.
  if (process.execArgv.some((option) => option.endsWith(ONE_THREAD.slice(2)))) return false
  // Windows cannot; a channel to the parent would be lost.
  if (process.platform === 'win32' || process.connected || !isMainThread) return false
  return (process.permission === undefined || process.permission.has('child')) && isNode(process.execPath)
}

/** Without /proc, or begun by a loader, the path is not what this process runs on; Node 24 ends where it cannot be run. */
function isNode(path) {
  try {
    accessSync(path, constants.X_OK)
    return isAbsolute(path) && basename(path).startsWith('node')
  } catch {
    return false
  }
}
