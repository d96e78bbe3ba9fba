import { expect, test } from 'vitest'
import { NOON } from '../lib/manual-clock.test-kit.ts'
import type { Side } from '../model/route.ts'
import { EMPTY_CONTEXT, type SharedState } from '../model/shared-state.ts'
import { stampAt, stateWith } from './control.test-kit.ts'
import { controlsOf, EVERYTHING, nextPinEnd } from './controls.ts'

const END = NOON + 1000

function pinned(pins: Readonly<Record<string, readonly [Side, number | null]>>): SharedState {
  const contexts = Object.entries(pins).map(([name, [side, until]]) => [
    name,
    { ...EMPTY_CONTEXT, pin: { ...stampAt(NOON), side, until } },
  ])
  return stateWith({ contexts: Object.fromEntries(contexts) })
}

const state = pinned({ catalog: ['service', END], orders: ['legacy', null], search: ['service', END + 1] })

test('without pins and kill switch the flags decide', () => {
  expect(controlsOf(stateWith({ contexts: { catalog: EMPTY_CONTEXT } }), [], NOON)).toEqual({
    isKilled: false,
    pins: new Map(),
    shadows: new Map(),
  })
})

test('the shadow of an operator is a share; without one the configured share applies', () => {
  const shadow = { ...stampAt(NOON), percentage: 7 }
  const contexts = {
    catalog: { ...EMPTY_CONTEXT, shadow },
    orders: { ...EMPTY_CONTEXT, shadow: { ...shadow, percentage: 0 } },
    search: { ...EMPTY_CONTEXT, shadow: null },
    billing: EMPTY_CONTEXT,
  }
  expect(Object.fromEntries(controlsOf(stateWith({ contexts }), [], NOON).shadows)).toEqual({
    catalog: 0.07,
    orders: 0,
  })
})

test('a pin is in force until its end, exclusive', () => {
  const names = (now: number) => [...controlsOf(state, [], now).pins.keys()]
  expect(names(END - 1)).toEqual(['catalog', 'orders', 'search'])
  expect(names(END)).toEqual(['orders', 'search'])
  expect(names(END + 1)).toEqual(['orders'])
})

test('the kill switch applies to all contexts', () => {
  expect(controlsOf(stateWith({ kill: stampAt(NOON) }), [], NOON).isKilled).toBe(true)
})

test('a kill file pins its contexts to legacy and overrides other pins', () => {
  const { isKilled, pins } = controlsOf(state, ['catalog', 'another'], NOON)
  expect(isKilled).toBe(false)
  expect(Object.fromEntries(pins)).toEqual({
    catalog: 'legacy',
    orders: 'legacy',
    search: 'service',
    another: 'legacy',
  })
})

test('a kill file for all contexts is a kill switch, not a pin', () => {
  const { isKilled, pins } = controlsOf(stateWith({}), [EVERYTHING], NOON)
  expect(isKilled).toBe(true)
  expect(pins.size).toBe(0)
})

test('the next end of a pin is the earliest one in the future', () => {
  expect(nextPinEnd(state, NOON)).toBe(END)
  expect(nextPinEnd(state, END)).toBe(END + 1)
  expect(nextPinEnd(state, END + 1)).toBeUndefined()
  expect(nextPinEnd(stateWith({}), NOON)).toBeUndefined()
})
