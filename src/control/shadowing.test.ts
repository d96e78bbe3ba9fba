import { describe, expect, test } from 'vitest'
import type { Field } from '../model/comparison.ts'
import type { DifferenceNote, SharedState, Stamp } from '../model/shared-state.ts'
import { type Command, contextOf, type Turn, turn } from './commands/verbs.ts'
import { contextNamed, deepFrozen, NOON, stampAt, stateWith } from './control.test-kit.ts'
import type { DifferenceKey, Ruling } from './control.ts'
import { MOST_NOTES } from './shadowing.ts'

const STAMP = stampAt(NOON, 'anna', 'a look')
const LATER = stampAt(NOON + 60_000, 'bob')
const PRICE: DifferenceKey = { fingerprint: 'f1', route: 'GET /products', field: 'value $.price' }
const STOCK: DifferenceKey = { fingerprint: 'f2', route: 'GET /products', field: 'missing $.stock' }

const shadow = (percentage: number | null): Command => ({ verb: 'shadow', context: 'catalog', percentage })
const rule = (difference: DifferenceKey, ruling: Ruling | null): Command => ({
  verb: 'rule',
  context: 'catalog',
  difference,
  ruling,
})
const resolve = (difference: DifferenceKey): Command => ({ verb: 'resolve', context: 'catalog', difference })

function taken(state: SharedState, command: Command, stamp: Stamp = STAMP): Turn {
  return turn(deepFrozen(state), command, { stamp, context: contextNamed('catalog'), unleash: undefined })
}

function upon(state: SharedState, ...commands: readonly (readonly [Command, Stamp?])[]): SharedState {
  return commands.reduce((was, [command, stamp]) => {
    const step = taken(was, command, stamp)
    if (step.kind !== 'change') throw new Error(JSON.stringify(step))
    return step.next
  }, state)
}

const catalogOf = (state: SharedState) => contextOf(state, 'catalog', NOON)
const notesOf = (state: SharedState) => catalogOf(state).differences
const NOBODY = stateWith({ generation: 7 })
const KILLED = { ...NOBODY, kill: STAMP }

describe('shadow', () => {
  test('is how much is copied, by whom and why', () => {
    const step = taken(NOBODY, shadow(10))
    expect(step).toMatchObject({ kind: 'change', before: null, after: 10, until: null, note: null })
    const next = upon(NOBODY, [shadow(10)])
    expect(catalogOf(next).shadow).toEqual({ ...STAMP, percentage: 10 })
    expect(catalogOf(next).changed).toEqual({ ...STAMP, verb: 'shadow', generation: 8 })
    expect(taken(next, shadow(25), LATER)).toMatchObject({ before: 10, after: 25 })
  })

  test('goes back to what the config says, which 0 is not', () => {
    const at10 = upon(NOBODY, [shadow(10)])
    expect(catalogOf(upon(at10, [shadow(0)])).shadow).toEqual({ ...STAMP, percentage: 0 })
    expect(taken(at10, shadow(null))).toMatchObject({ kind: 'change', before: 10, after: null })
    expect(catalogOf(upon(at10, [shadow(null)])).shadow).toBeNull()
  })

  test('of what it is already changes nothing', () => {
    const is = (percentage: number | null, note: string) => ({ kind: 'unchanged', is: percentage, note })
    expect(taken(NOBODY, shadow(null))).toEqual(is(null, 'it is shadowed as the config says already'))
    expect(taken(upon(NOBODY, [shadow(10)]), shadow(10), LATER)).toEqual(is(10, 'it is shadowed at 10 % already'))
  })

  test.each([-1, 101, 0.1, Number.NaN])('at %d is refused', (percentage) => {
    const why = expect.stringContaining('write a whole number from 0 to 100')
    expect(taken(NOBODY, shadow(percentage))).toEqual({ kind: 'refused', why })
  })

  test('under the kill switch says that nothing is copied, but where nothing is to be', () => {
    const note = 'the kill switch is on: nothing is copied until it is revived'
    expect(taken(KILLED, shadow(10))).toMatchObject({ kind: 'change', note })
    expect(taken(upon(KILLED, [shadow(10)]), shadow(null))).toMatchObject({ kind: 'change', note })
    expect(taken(upon(KILLED, [shadow(10)]), shadow(10))).toMatchObject({
      kind: 'unchanged',
      note: `it is shadowed at 10 % already; ${note}`,
    })
    expect(taken(KILLED, shadow(0))).toMatchObject({ kind: 'change', note: null })
  })
})

describe('rule', () => {
  test('says that a difference is noise or real, by whom and why', () => {
    const step = taken(NOBODY, rule(PRICE, 'noise'))
    const said = { before: { ...PRICE, ruling: null }, after: { ...PRICE, ruling: 'noise' }, note: null, until: null }
    expect(step).toMatchObject({ kind: 'change', ...said })
    const { fingerprint: _, ...place } = PRICE
    const note: DifferenceNote = { ...STAMP, ...place, ruling: 'noise', resolvedAt: null }
    expect(notesOf(upon(NOBODY, [rule(PRICE, 'noise')]))).toEqual({ f1: note })
    const both = upon(NOBODY, [rule(PRICE, 'noise')], [rule(STOCK, 'real'), LATER], [rule(PRICE, 'real'), LATER])
    expect(notesOf(both)).toEqual({
      f1: { ...note, ...LATER, ruling: 'real' },
      f2: expect.objectContaining({ ...LATER, ruling: 'real', field: 'missing $.stock' }),
    })
  })

  test('can be taken back, and a note that says nothing is no note', () => {
    const both = upon(NOBODY, [rule(PRICE, 'noise')], [rule(STOCK, 'real')])
    expect(taken(both, rule(PRICE, null))).toMatchObject({
      before: { ...PRICE, ruling: 'noise' },
      after: { ...PRICE, ruling: null },
    })
    expect(Object.keys(notesOf(upon(both, [rule(PRICE, null)])) ?? {})).toEqual(['f2'])
  })

  test('keeps when it was mended', () => {
    const mended = upon(NOBODY, [resolve(PRICE)], [rule(PRICE, 'noise'), LATER])
    expect(notesOf(mended)?.f1).toMatchObject({ ruling: 'noise', resolvedAt: NOON, by: 'bob' })
    expect(notesOf(upon(mended, [rule(PRICE, null)]))?.f1).toMatchObject({ ruling: null, resolvedAt: NOON })
  })

  test('of what it is already changes nothing', () => {
    expect(taken(NOBODY, rule(PRICE, null))).toEqual({
      kind: 'unchanged',
      is: { ...PRICE, ruling: null },
      note: 'nobody has ruled on it',
    })
    expect(taken(upon(NOBODY, [rule(PRICE, 'real')]), rule(PRICE, 'real'), LATER)).toEqual({
      kind: 'unchanged',
      is: { ...PRICE, ruling: 'real' },
      note: 'it is real already, by anna',
    })
  })
})

describe('resolve', () => {
  test('says when it was mended, and keeps the ruling', () => {
    const ruled = upon(NOBODY, [rule(PRICE, 'real')])
    expect(taken(ruled, resolve(PRICE), LATER)).toMatchObject({
      kind: 'change',
      before: { ...PRICE, resolvedAt: null },
      after: { ...PRICE, resolvedAt: LATER.at },
    })
    expect(notesOf(upon(ruled, [resolve(PRICE), LATER]))?.f1).toMatchObject({
      ...LATER,
      ruling: 'real',
      resolvedAt: LATER.at,
    })
  })

  test('of what was mended once, and seen again, is a change', () => {
    const mended = upon(NOBODY, [resolve(PRICE)])
    expect(taken(mended, resolve(PRICE), LATER)).toMatchObject({ kind: 'change', before: { resolvedAt: NOON } })
    expect(notesOf(upon(mended, [resolve(PRICE), LATER]))?.f1).toMatchObject({ resolvedAt: LATER.at })
  })
})

describe('notes', () => {
  const many = Array.from({ length: MOST_NOTES }, (_, i): DifferenceKey => {
    return { fingerprint: `n${i}`, route: 'GET /', field: `value $.n${i}` as Field }
  })
  const full = upon(NOBODY, ...many.map((difference) => [rule(difference, 'noise')] as const))

  test.each([rule(PRICE, 'noise'), resolve(PRICE)])(
    'are few, as every gateway has them all: $verb of one more is refused',
    (command) => {
      expect(Object.keys(notesOf(full) ?? {})).toHaveLength(500)
      expect(taken(full, command)).toEqual({
        kind: 'refused',
        why: 'operators have notes on 500 differences of this context, and no more are kept: take back the rulings that are no longer needed',
      })
    },
  )

  test('that are there can be changed all the same, and one that is taken back makes room', () => {
    const [first] = many
    if (first === undefined) throw new Error('there are many')
    expect(taken(full, rule(first, 'real')).kind).toBe('change')
    expect(taken(full, resolve(first)).kind).toBe('change')
    expect(taken(upon(full, [rule(first, null)]), rule(PRICE, 'noise')).kind).toBe('change')
  })

  // ATTACK: a fingerprint comes from a URL. As a key of shared state `__proto__` would be read by no store again.
  test.each(['__proto__', 'constructor', 'toString', '', 'x'.repeat(201)])(
    'are of fingerprints only, and %j is none',
    (fingerprint) => {
      const attacked = { ...PRICE, fingerprint }
      for (const command of [rule(attacked, 'noise'), rule(attacked, null), resolve(attacked)]) {
        expect(taken(NOBODY, command)).toEqual({
          kind: 'refused',
          why: 'that is no fingerprint: take one that a difference has',
        })
      }
    },
  )
})

test.each([shadow(10), rule(PRICE, 'noise'), resolve(PRICE)])(
  '$verb moves nobody, and so is done while the context is frozen',
  (command) => {
    const frozen = upon(NOBODY, [{ verb: 'freeze', context: 'catalog' }])
    const step = taken(frozen, command)
    expect(step.kind).toBe('change')
    expect(catalogOf(upon(frozen, [command])).freeze).toEqual(STAMP)
  },
)
