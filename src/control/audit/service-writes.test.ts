import { describe, expect, it } from 'vitest'
import type { FleetMember } from '../../model/fleet.ts'
import { WritesSinceZero, writesOfFleet } from './service-writes.ts'

function startCount(isAtZero: boolean) {
  const writes = new WritesSinceZero()
  let isZero = isAtZero
  let count = 0
  const observe = () => writes.observe({ orders: count }, ['orders'], () => isZero).orders
  return {
    observe,
    count: (more: number) => {
      count += more
      return observe()
    },
    moveTo: (zero: boolean) => {
      isZero = zero
      return observe()
    },
  }
}

describe('the writes that a service has answered since its context was last at 0 %', () => {
  it('are counted from the moment at which the context leaves 0 %', () => {
    const { observe, count, moveTo } = startCount(true)
    observe()
    moveTo(false)
    expect(count(3)).toEqual({ count: 3, isLowerBound: false })
  })

  it('are still reported when the context is back at 0 %, with the writes that were in flight', () => {
    const { observe, count, moveTo } = startCount(true)
    observe()
    moveTo(false)
    count(3)
    expect(moveTo(true)).toEqual({ count: 3, isLowerBound: false })
    expect(count(1)).toEqual({ count: 4, isLowerBound: false })
  })

  it('are counted anew when the context leaves 0 % again', () => {
    const { observe, count, moveTo } = startCount(true)
    observe()
    moveTo(false)
    count(3)
    moveTo(true)
    expect(moveTo(false)).toEqual({ count: 0, isLowerBound: false })
    expect(count(2)).toEqual({ count: 2, isLowerBound: false })
  })

  it('are a lower bound after a gateway started while the context was above 0 %', () => {
    const { observe, count, moveTo } = startCount(false)
    observe()
    expect(count(2)).toEqual({ count: 2, isLowerBound: true })
    moveTo(true)
    expect(moveTo(false)).toEqual({ count: 0, isLowerBound: false })
  })
})

describe('the sum of the writes of a fleet', () => {
  const member = (serviceWrites?: FleetMember['serviceWrites']) => ({ serviceWrites }) as FleetMember
  const orders = (count: number, isLowerBound = false) => member({ orders: { count, isLowerBound } })
  const isCurrent = () => false

  it.each<[string, FleetMember[], string | null, boolean, { count: number; isLowerBound: boolean }]>([
    ['are the sum of all gateways', [orders(2), orders(3)], 'orders', false, { count: 5, isLowerBound: false }],
    [
      'are a lower bound if one gateway has one',
      [orders(2), orders(3, true)],
      'orders',
      false,
      { count: 5, isLowerBound: true },
    ],
    [
      'are a lower bound beside an old gateway',
      [orders(2), member()],
      'orders',
      false,
      { count: 2, isLowerBound: true },
    ],
    ['are a lower bound while a gateway is silent', [orders(2)], 'orders', true, { count: 2, isLowerBound: true }],
    [
      'of every context are the sum of all contexts',
      [member({ orders: { count: 2, isLowerBound: false }, catalog: { count: 4, isLowerBound: false } })],
      null,
      false,
      { count: 6, isLowerBound: false },
    ],
  ])('%s', (_, members, context, isOutdated, sum) => {
    expect(writesOfFleet(members, context, isOutdated ? () => true : isCurrent)).toEqual(sum)
  })
})
