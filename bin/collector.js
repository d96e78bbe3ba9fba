// Settings of V8's garbage collector for a gateway. docs/adr/0009-garbage-collection.md has the measurements.
import { accessSync, constants } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, isAbsolute } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { isMainThread } from 'node:worker_threads'

const ONE_THREAD = '--single-threaded-gc'

/** Must be called first: code that is compiled before keeps the default settings. It may replace the process, which keeps its id. */
export function tuneCollector() {
  // In the first seconds, while code is still being compiled, V8 would classify objects of single requests as long-lived, and would
  // then always allocate them in the old generation, where they and their references live until the next full collection.
  setFlagsFromString('--no-allocation-site-pretenuring')
  // With one processor, helper threads of the collector would compete with the thread that waits for them.
  if (availableParallelism() === 1 && canReplaceProcess()) replaceProcess()
}

function replaceProcess() {
  const { execPath, execArgv, argv, env } = process
  try {
    process.execve(execPath, [execPath, ONE_THREAD, ...execArgv, ...argv.slice(1)], env)
  } catch {
    // The system does not allow it. The process continues with helper threads, with a higher latency in the worst case.
  }
}

function canReplaceProcess() {
  // The option is set already: by the caller, or by `replaceProcess`.
  if (process.execArgv.some((option) => option.endsWith(ONE_THREAD.slice(2)))) return false
  // Windows has no execve. An IPC channel to the parent process would be lost.
  if (process.platform === 'win32' || process.connected || !isMainThread) return false
  return (process.permission === undefined || process.permission.has('child')) && isNode(process.execPath)
}

/** Whether `execPath` is Node: without /proc, or under a loader, it may be another file, and execve of Node 24 aborts on failure. */
function isNode(path) {
  try {
    accessSync(path, constants.X_OK)
    return isAbsolute(path) && basename(path).startsWith('node')
  } catch {
    return false
  }
}
