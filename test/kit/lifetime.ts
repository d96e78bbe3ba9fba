// When what a test started ends: with the test, or with the file where many tests share it.
import { AsyncLocalStorage } from 'node:async_hooks'
import { afterAll, beforeAll, onTestFinished } from 'vitest'

type Cleanup = () => unknown

/** What is to be ended later; at once if that time has come. */
type Lifetime = { readonly add: (cleanup: Cleanup) => void; readonly end: () => Promise<void> }

const shared = new AsyncLocalStorage<Lifetime>()

/** Starting promises nothing: an Unleash and a fleet take ten seconds alone on a machine, and many times that beside others. */
const START_LIMIT_MS = 120_000

/** Runs the clean-up when the test is over, or, inside `sharedByFile`, when the file's last test is. */
export function whenOver(cleanup: Cleanup): void {
  const lifetime = shared.getStore()
  if (lifetime === undefined) onTestFinished(async () => void (await cleanup()))
  else lifetime.add(cleanup)
}

/** Starts something once, for all tests of the file or of the `describe` around it: `const shop = sharedByFile(startShop)`, then `shop()`. */
export function sharedByFile<Started>(start: () => Promise<Started>): () => Started {
  let started: Started | undefined
  const lifetime = newLifetime()
  beforeAll(async () => {
    started = await shared.run(lifetime, start)
  }, START_LIMIT_MS)
  // Also where not all of it has started: what is left behind slows down every test after it.
  afterAll(lifetime.end)
  return () => started as Started
}

function newLifetime(): Lifetime {
  const cleanups: Cleanup[] = []
  let isOver = false
  return {
    add: (cleanup) => {
      if (isOver) void cleanup()
      else cleanups.push(cleanup)
    },
    end: async () => {
      isOver = true
      for (const cleanup of cleanups.reverse()) await cleanup()
    },
  }
}
