import { expect, test } from 'vitest'
import type { Field } from '../../model/comparison.ts'
import { type DifferenceNote, EMPTY_CONTEXT, EMPTY_STATE } from '../../model/shared-state.ts'
import { allRulings, rulingsOf } from './rulings.ts'

const note = (route: string, field: Field, ruling: DifferenceNote['ruling']): DifferenceNote => ({
  ...{ by: 'anna', reason: null, at: 1, route, field, ruling, resolvedAt: ruling === null ? 5 : null },
})

const notes = {
  a: note('GET /a', 'value $.x', 'noise'),
  b: note('GET /a', 'missing $.y', 'real'),
  c: note('GET /b', 'value $.x', 'real'),
  d: note('GET /c', 'value $.x', null),
}

test('the rulings of a route do not contain resolved differences', () => {
  expect(rulingsOf(notes, 'GET /a')).toEqual({ 'value $.x': 'noise', 'missing $.y': 'real' })
  expect(rulingsOf(notes, 'GET /c')).toEqual({})
})

test('the rulings of all contexts are keyed by context and route', () => {
  const contexts = { shop: { ...EMPTY_CONTEXT, differences: notes }, other: EMPTY_CONTEXT }
  expect(allRulings({ ...EMPTY_STATE, contexts })).toEqual({
    'shop\nGET /a': { 'value $.x': 'noise', 'missing $.y': 'real' },
    'shop\nGET /b': { 'value $.x': 'real' },
  })
})
