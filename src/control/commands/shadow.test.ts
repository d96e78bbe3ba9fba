import { describe, expect, test } from 'vitest'
import { NOON } from '../../lib/manual-clock.test-kit.ts'
import type { Field } from '../../model/comparison.ts'
import type { DifferenceNote, SharedState, Stamp } from '../../model/shared-state.ts'
import { contextStateAt } from '../context-state.ts'
import { contextNamed, deepFrozen, stampAt, stateWith, transitionOf } from '../control.test-kit.ts'
import type { DifferenceKey, Ruling } from '../control.ts'
import type { Change, Transition } from './change.ts'
import { MOST_NOTES } from './shadow.ts'

const STAMP = stampAt(NOON, 'anna', 'a look')
const LATER = stampAt(NOON + 60_000, 'bob')
const PRICE: DifferenceKey = { fingerprint: 'f1', route: 'GET /products', field: 'value $.price' }
const STOCK: DifferenceKey = { fingerprint: 'f2', route: 'GET /products', field: 'missing $.stock' }

const shadow = (percentage: number | null): Change => ({ verb: 'shadow', context: 'catalog', percentage })
const rule = (difference: DifferenceKey, ruling: Ruling | null): Change => ({
  verb: 'rule',
  context: 'catalog',
  difference,
  ruling,
})
const resolve = (difference: DifferenceKey): Change => ({ verb: 'resolve', context: 'catalog', difference })

function transition(state: SharedState, change: Change, stamp: Stamp = STAMP): Transition {
  return transitionOf(deepFrozen(state), change, { stamp, context: contextNamed('catalog'), unleash: undefined })
}

function stateAfter(state: SharedState, ...changes: readonly (readonly [Change, Stamp?])[]): SharedState {
  return changes.reduce((current, [change, stamp]) => {
    const step = transition(current, change, stamp)
    if (step.kind !== 'change') throw new Error(JSON.stringify(step))
    return step.next
  }, state)
}

const catalogOf = (state: SharedState) => contextStateAt(state, 'catalog', NOON)
const notesOf = (state: SharedState) => catalogOf(state).differences
const NOBODY = stateWith({ generation: 7 })
const KILLED = { ...NOBODY, kill: STAMP }

describe('a change of the shadow', () => {
  test('sets the share that is copied, with its author and reason', () => {
    const step = transition(NOBODY, shadow(10))
    expect(step).toMatchObject({ kind: 'change', before: null, after: 10, until: null, note: null })
    const next = stateAfter(NOBODY, [shadow(10)])
    expect(catalogOf(next).shadow).toEqual({ ...STAMP, percentage: 10 })
    expect(catalogOf(next).changed).toEqual({ ...STAMP, verb: 'shadow', generation: 8 })
    expect(transition(next, shadow(25), LATER)).toMatchObject({ before: 10, after: 25 })
  })

  test('returns to the configured share, which 0 does not', () => {
    const at10 = stateAfter(NOBODY, [shadow(10)])
    expect(catalogOf(stateAfter(at10, [shadow(0)])).shadow).toEqual({ ...STAMP, percentage: 0 })
    expect(transition(at10, shadow(null))).toMatchObject({ kind: 'change', before: 10, after: null })
    expect(catalogOf(stateAfter(at10, [shadow(null)])).shadow).toBeNull()
  })

  test('to the current share changes nothing', () => {
    const is = (percentage: number | null, note: string) => ({ kind: 'unchanged', value: percentage, note })
    expect(transition(NOBODY, shadow(null))).toEqual(is(null, 'it is shadowed as the config says already'))
    expect(transition(stateAfter(NOBODY, [shadow(10)]), shadow(10), LATER)).toEqual(
      is(10, 'it is shadowed at 10 % already'),
    )
  })

  test.each([-1, 101, 0.1, Number.NaN])('at %d is refused', (percentage) => {
    const why = expect.stringContaining('write a whole number from 0 to 100')
    expect(transition(NOBODY, shadow(percentage))).toEqual({ kind: 'refused', why })
  })

  test('under the kill switch notes that nothing is copied, unless the share is 0', () => {
    const note = 'the kill switch is on: nothing is copied until it is revived'
    expect(transition(KILLED, shadow(10))).toMatchObject({ kind: 'change', note })
    expect(transition(stateAfter(KILLED, [shadow(10)]), shadow(null))).toMatchObject({ kind: 'change', note })
    expect(transition(stateAfter(KILLED, [shadow(10)]), shadow(10))).toMatchObject({
      kind: 'unchanged',
      note: `it is shadowed at 10 % already; ${note}`,
    })
    expect(transition(KILLED, shadow(0))).toMatchObject({ kind: 'change', note: null })
  })
})

describe('a ruling', () => {
  test('marks a difference as noise or as real, with its author and reason', () => {
    const step = transition(NOBODY, rule(PRICE, 'noise'))
    const facts = { before: { ...PRICE, ruling: null }, after: { ...PRICE, ruling: 'noise' }, note: null, until: null }
    expect(step).toMatchObject({ kind: 'change', ...facts })
    const { fingerprint: _, ...place } = PRICE
    const note: DifferenceNote = { ...STAMP, ...place, ruling: 'noise', resolvedAt: null }
    expect(notesOf(stateAfter(NOBODY, [rule(PRICE, 'noise')]))).toEqual({ f1: note })
    const both = stateAfter(NOBODY, [rule(PRICE, 'noise')], [rule(STOCK, 'real'), LATER], [rule(PRICE, 'real'), LATER])
    expect(notesOf(both)).toEqual({
      f1: { ...note, ...LATER, ruling: 'real' },
      f2: expect.objectContaining({ ...LATER, ruling: 'real', field: 'missing $.stock' }),
    })
  })

  test('can be taken back, and a note without content is removed', () => {
    const both = stateAfter(NOBODY, [rule(PRICE, 'noise')], [rule(STOCK, 'real')])
    expect(transition(both, rule(PRICE, null))).toMatchObject({
      before: { ...PRICE, ruling: 'noise' },
      after: { ...PRICE, ruling: null },
    })
    expect(Object.keys(notesOf(stateAfter(both, [rule(PRICE, null)])) ?? {})).toEqual(['f2'])
  })

  test('keeps the time at which the difference was resolved', () => {
    const mended = stateAfter(NOBODY, [resolve(PRICE)], [rule(PRICE, 'noise'), LATER])
    expect(notesOf(mended)?.f1).toMatchObject({ ruling: 'noise', resolvedAt: NOON, by: 'bob' })
    expect(notesOf(stateAfter(mended, [rule(PRICE, null)]))?.f1).toMatchObject({ ruling: null, resolvedAt: NOON })
  })

  test('that exists already changes nothing', () => {
    expect(transition(NOBODY, rule(PRICE, null))).toEqual({
      kind: 'unchanged',
      value: { ...PRICE, ruling: null },
      note: 'it has no ruling',
    })
    expect(transition(stateAfter(NOBODY, [rule(PRICE, 'real')]), rule(PRICE, 'real'), LATER)).toEqual({
      kind: 'unchanged',
      value: { ...PRICE, ruling: 'real' },
      note: 'it is real already, by anna',
    })
  })
})

describe('a resolution', () => {
  test('has its time and keeps the ruling', () => {
    const ruled = stateAfter(NOBODY, [rule(PRICE, 'real')])
    expect(transition(ruled, resolve(PRICE), LATER)).toMatchObject({
      kind: 'change',
      before: { ...PRICE, resolvedAt: null },
      after: { ...PRICE, resolvedAt: LATER.at },
    })
    expect(notesOf(stateAfter(ruled, [resolve(PRICE), LATER]))?.f1).toMatchObject({
      ...LATER,
      ruling: 'real',
      resolvedAt: LATER.at,
    })
  })

  test('of a difference that was resolved before is a change', () => {
    const mended = stateAfter(NOBODY, [resolve(PRICE)])
    expect(transition(mended, resolve(PRICE), LATER)).toMatchObject({ kind: 'change', before: { resolvedAt: NOON } })
    expect(notesOf(stateAfter(mended, [resolve(PRICE), LATER]))?.f1).toMatchObject({ resolvedAt: LATER.at })
  })
})

describe('the notes on differences', () => {
  const many = Array.from({ length: MOST_NOTES }, (_, i): DifferenceKey => {
    return { fingerprint: `n${i}`, route: 'GET /', field: `value $.n${i}` as Field }
  })
  const full = stateAfter(NOBODY, ...many.map((difference) => [rule(difference, 'noise')] as const))

  test.each([rule(PRICE, 'noise'), resolve(PRICE)])(
    'are bounded, since every gateway receives them: $verb beyond the limit is refused',
    (change) => {
      expect(Object.keys(notesOf(full) ?? {})).toHaveLength(500)
      expect(transition(full, change)).toEqual({
        kind: 'refused',
        why: 'this context has notes on 500 differences, which is the limit: remove rulings that are no longer needed',
      })
    },
  )

  test('can be changed at the limit of their number, and a removed note leaves space for another', () => {
    const [first] = many
    if (first === undefined) throw new Error('there are many')
    expect(transition(full, rule(first, 'real')).kind).toBe('change')
    expect(transition(full, resolve(first)).kind).toBe('change')
    expect(transition(stateAfter(full, [rule(first, null)]), rule(PRICE, 'noise')).kind).toBe('change')
  })

  // ATTACK: a fingerprint comes from a URL. No store could read a shared state with the key `__proto__`.
  test.each(['__proto__', 'constructor', 'toString', '', 'x'.repeat(201)])(
    'are refused for the invalid fingerprint %j',
    (fingerprint) => {
      const attacked = { ...PRICE, fingerprint }
      for (const change of [rule(attacked, 'noise'), rule(attacked, null), resolve(attacked)]) {
        expect(transition(NOBODY, change)).toEqual({
          kind: 'refused',
          why: 'this is not a fingerprint: use the fingerprint of a difference',
        })
      }
    },
  )
})

test.each([shadow(10), rule(PRICE, 'noise'), resolve(PRICE)])(
  '$verb moves no request and is allowed while the context is frozen',
  (change) => {
    const frozen = stateAfter(NOBODY, [{ verb: 'freeze', context: 'catalog' }])
    const step = transition(frozen, change)
    expect(step.kind).toBe('change')
    expect(catalogOf(stateAfter(frozen, [change])).freeze).toEqual(STAMP)
  },
)
