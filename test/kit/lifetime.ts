// When what a test started ends: with the test, or with the file where many tests share it.
import { AsyncLocalStorage } from 'node:async_hooks'
import { beforeAll, onTestFinished } from 'vitest'

type Cleanup = () => unknown

const shared = new AsyncLocalStorage<Cleanup[]>()

/** Runs the clean-up when the test is over, or, inside `sharedByFile`, when the file's last test is. */
export function whenOver(cleanup: Cleanup): void {
  const cleanups = shared.getStore()
  if (cleanups === undefined) onTestFinished(async () => void (await cleanup()))
  else cleanups.push(cleanup)
}

/** Starts something once, for all tests of the file or of the `describe` around it: `const shop = sharedByFile(startShop)`, then `shop()`. */
export function sharedByFile<Started>(start: () => Promise<Started>): () => Started {
  let started: Started | undefined
  beforeAll(async () => {
    const cleanups: Cleanup[] = []
    started = await shared.run(cleanups, start)
    return async () => {
      for (const cleanup of cleanups.reverse()) await cleanup()
    }
  })
  return () => started as Started
}
