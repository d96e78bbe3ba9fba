import { expect, it } from 'vitest'
import { createPace } from './request-pace.ts'

/** A clock that waiting moves, and nothing else. */
function paceAt(perSecond: number) {
  let now = 0
  const turns: number[] = []
  const pace = createPace(perSecond, { now: () => now }, async (ms) => {
    now += ms
  })
  const turn = async () => {
    await pace.turn()
    turns.push(Math.round(now))
  }
  const pass = (ms: number) => {
    now += ms
  }
  return { turn, turns, pass }
}

it('gives one turn in each gap, and the first at once', async () => {
  const { turn, turns } = paceAt(50)
  for (let i = 0; i < 4; i++) await turn()
  expect(turns).toEqual([0, 20, 40, 60])
})

it('makes up for no pause', async () => {
  const { turn, turns, pass } = paceAt(10)
  await turn()
  pass(1000)
  for (let i = 0; i < 3; i++) await turn()
  expect(turns).toEqual([0, 1000, 1100, 1200])
})
