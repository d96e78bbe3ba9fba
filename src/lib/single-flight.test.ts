import { expect, test } from 'vitest'
import { singleFlight } from './single-flight.ts'

function work() {
  const runs: { wanted: string[]; end: () => void; fail: () => void }[] = []
  const ask = singleFlight<void, string>(
    (wanted) => new Promise((resolve, reject) => void runs.push({ wanted: [...wanted], end: resolve, fail: reject })),
  )
  return { runs, ask }
}

test('what is asked for during a run is done by one run after it', async () => {
  const { runs, ask } = work()
  const first = ask(['a'])
  const others = [ask(['b']), ask(['c']), ask(['b'])]
  expect(runs.map(({ wanted }) => wanted)).toEqual([['a']])
  runs[0]?.end()
  await first
  await Promise.resolve()
  expect(runs.map(({ wanted }) => wanted)).toEqual([['a'], ['b', 'c']])
  runs[1]?.end()
  await Promise.all(others)
  void ask(['d'])
  expect(runs).toHaveLength(3)
})

test('a run that fails fails for its askers alone', async () => {
  const { runs, ask } = work()
  const first = ask(['a'])
  const second = ask(['b'])
  runs[0]?.fail()
  await expect(first).rejects.toBeUndefined()
  await Promise.resolve()
  runs[1]?.end()
  await second
})
