import { expect, it } from 'vitest'
import { COUNT_PERIOD_MS } from '../../model/comparison-counts.ts'
import { COUNTS_RETENTION_MS, EXAMPLES_RETENTION_MS } from '../../model/comparison-store.ts'
import { StoreUnavailable } from '../../model/state-store.ts'
import { matched, storedExample } from '../comparisons.test-kit.ts'
import { MemoryStore, SharedMemory } from './memory-store.ts'

const START = 1000 * COUNT_PERIOD_MS

function open() {
  const memory = new SharedMemory()
  const time = { now: START }
  const clock = { now: () => time.now, wallTime: () => time.now }
  return { memory, time, comparisons: new MemoryStore({ memory, clock }).comparisons }
}

it('the memory store removes counts and examples when they expire', async () => {
  const { memory, time, comparisons } = open()
  const [first, second] = [matched(1, { start: START }), matched(2, { start: START + COUNT_PERIOD_MS })]
  await comparisons.saveCounts('gateway-1', [first, second])
  await comparisons.saveExamples([storedExample({}, START)])
  time.now = START + COUNT_PERIOD_MS + COUNTS_RETENTION_MS - 1
  expect(await comparisons.counts({ from: 0 })).toEqual([first, second])
  time.now++
  expect(await comparisons.counts({ from: 0 })).toEqual([second])
  expect(memory.comparisons.periods.size).toBe(1)
  time.now = START + EXAMPLES_RETENTION_MS - 1
  expect(await comparisons.examples({})).toHaveLength(1)
  time.now++
  expect(await comparisons.examples({})).toEqual([])
})

it('the comparisons of the memory store reject every call while the memory cannot be reached', async () => {
  const { memory, comparisons } = open()
  memory.isReachable = false
  for (const ask of [
    () => comparisons.saveCounts('gateway-1', [matched(1)]),
    () => comparisons.counts({ from: 0 }),
    () => comparisons.saveExamples([storedExample()]),
    () => comparisons.examples({}),
  ])
    await expect(ask()).rejects.toThrow(StoreUnavailable)
  memory.isReachable = true
  expect(await comparisons.counts({ from: 0 })).toEqual([])
})
