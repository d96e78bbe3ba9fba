import { describe, expect, it } from 'vitest'
import { RequestPace } from './request-pace.ts'

/** A pace with a clock that only waiting and `pass` move. */
function paceOf(perSecond: number) {
  let now = 0
  const turns: number[] = []
  const wait = async (ms: number) => {
    now += ms
  }
  const pace = new RequestPace({ perSecond, clock: { now: () => now }, wait })
  const turn = async () => {
    await pace.turn()
    turns.push(Math.round(now))
  }
  const pass = (ms: number) => {
    now += ms
  }
  return { turn, turns, pass }
}

describe('the pace of requests', () => {
  it('gives the first turn at once and then one turn per interval', async () => {
    const { turn, turns } = paceOf(50)
    for (let i = 0; i < 4; i++) await turn()
    expect(turns).toEqual([0, 20, 40, 60])
  })

  it('has no burst after a pause', async () => {
    const { turn, turns, pass } = paceOf(10)
    await turn()
    pass(1000)
    for (let i = 0; i < 3; i++) await turn()
    expect(turns).toEqual([0, 1000, 1100, 1200])
  })
})
