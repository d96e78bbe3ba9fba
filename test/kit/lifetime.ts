// The lifetime of resources that a test starts: the test, or the file if its tests share them.
import { AsyncLocalStorage } from 'node:async_hooks'
import { afterAll, beforeAll, onTestFinished } from 'vitest'

type Cleanup = () => unknown

/** Collects clean-ups for the end of a lifetime. After the end, it runs them immediately. */
type Lifetime = { readonly add: (cleanup: Cleanup) => void; readonly end: () => Promise<void> }

const shared = new AsyncLocalStorage<Lifetime>()

/** Unleash and a fleet start within ten seconds on an idle machine, and take much longer on a busy one. */
const START_LIMIT_MS = 120_000

/** Runs the clean-up at the end of the test, or, inside `sharedByFile`, at the end of the file. */
export function whenOver(cleanup: Cleanup): void {
  const lifetime = shared.getStore()
  if (lifetime === undefined) onTestFinished(async () => void (await cleanup()))
  else lifetime.add(cleanup)
}

/** Starts a resource once for all tests of the file or of the enclosing `describe`: `const shop = sharedByFile(startShop)`, then `shop()`. */
export function sharedByFile<Started>(start: () => Promise<Started>): () => Started {
  let started: Started | undefined
  const lifetime = newLifetime()
  beforeAll(async () => {
    started = await shared.run(lifetime, start)
  }, START_LIMIT_MS)
  // Runs also after an incomplete start: processes that are left behind slow down later tests.
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
