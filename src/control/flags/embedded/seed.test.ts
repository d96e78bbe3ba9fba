import { describe, expect, test } from 'vitest'
import { NOON } from '../../../lib/manual-clock.test-kit.ts'
import { EMPTY_CONTEXT, type EmbeddedFlags, type SharedState } from '../../../model/shared-state.ts'
import { deepFrozen, flagsAt, stampAt, stateWith } from '../../control.test-kit.ts'
import { percentageAmong, withPercentage } from './embedded-writer.ts'
import { seed } from './seed.ts'

const [EARLIER, LATER] = [NOON - 1000, NOON + 1000]

/** A state whose flags were seeded from the file. */
function seeded(file: EmbeddedFlags, previous = stateWith({})): SharedState {
  return { ...previous, flags: seed(previous, file, NOON).flags }
}

/** The state after a flip at noon. */
function flipped(state: SharedState, flag: string, percentage: number): SharedState {
  const moved = withPercentage(state.flags as EmbeddedFlags, flag, percentage)
  if (moved.kind !== 'moved') throw new Error(moved.reason)
  const flip = { ...stampAt(NOON), flag, percentage, generation: state.generation + 1 }
  return stateWith({ flags: moved.flags, contexts: { orders: { ...EMPTY_CONTEXT, flip } } })
}

const percentageIn = (flags: EmbeddedFlags | null, flag = 'orders') =>
  percentageAmong(flags as EmbeddedFlags, flag).percentage
const file = flagsAt({ orders: 10, catalog: 20 })

describe('the first seed', () => {
  test('takes all flags of the file', () => {
    const { flags, edits } = seed(stateWith({}), file, NOON)
    expect(flags.features).toEqual(file.features)
    expect(edits).toEqual([
      { flag: 'orders', before: null, after: 10, heldBy: null },
      { flag: 'catalog', before: null, after: 20, heldBy: null },
    ])
  })

  test('keeps a flag that a flip has created', () => {
    const state = stateWith({ flags: flagsAt({ search: 5 }) })
    expect(seed(state, file, NOON).flags.features.map(({ name }) => name)).toEqual(['search', 'orders', 'catalog'])
  })
})

describe('a later seed', () => {
  test('of the same file changes nothing: the flags are the same object', () => {
    const state = deepFrozen(seeded(file))
    const again = seed(state, structuredClone(file), LATER)
    expect(again.flags).toBe(state.flags)
    expect(again.edits).toEqual([])
  })

  test('of the same file after a flip changes nothing: a flip is not an edit', () => {
    const state = flipped(seeded(file), 'orders', 50)
    for (const editedAt of [EARLIER, LATER]) {
      const again = seed(state, file, editedAt)
      expect(again.flags).toBe(state.flags)
      expect(again.edits).toEqual([])
    }
  })

  test('takes over an edited flag, and no other flag', () => {
    const { flags, edits } = seed(seeded(file), flagsAt({ orders: 30, catalog: 20 }), LATER)
    expect(edits).toEqual([{ flag: 'orders', before: 10, after: 30, heldBy: null }])
    expect([percentageIn(flags), percentageIn(flags, 'catalog')]).toEqual([30, 20])
  })

  test('takes over the edit of one flag without undoing the flip of another', () => {
    const state = flipped(seeded(file), 'orders', 50)
    const { flags, edits } = seed(state, flagsAt({ orders: 10, catalog: 25 }), LATER)
    expect(edits.map(({ flag }) => flag)).toEqual(['catalog'])
    expect([percentageIn(flags), percentageIn(flags, 'catalog')]).toEqual([50, 25])
  })

  test('takes over an edit that is newer than a flip', () => {
    const state = flipped(seeded(file), 'orders', 50)
    const { flags, edits } = seed(state, flagsAt({ orders: 30, catalog: 20 }), LATER)
    expect(edits).toEqual([{ flag: 'orders', before: 50, after: 30, heldBy: null }])
    expect(percentageIn(flags)).toBe(30)
  })

  test('keeps a flip that is newer than an edit, and reports the conflict once', () => {
    const edited = flagsAt({ orders: 30, catalog: 20 })
    const state = flipped(seeded(file), 'orders', 50)
    const { flags, edits } = seed(state, edited, EARLIER)
    expect(edits).toEqual([{ flag: 'orders', before: 50, after: 30, heldBy: 'flip' }])
    expect(percentageIn(flags)).toBe(50)
    const next = { ...state, flags }
    expect(seed(next, edited, EARLIER)).toEqual({ flags, edits: [] })
  })

  test('does not take over the edit of a flag whose context is frozen, and reports it once', () => {
    const edited = flagsAt({ orders: 30, catalog: 25 })
    const state = seeded(file)
    const isFrozen = (flag: string) => flag === 'orders'
    const { flags, edits } = seed(state, edited, LATER, isFrozen)
    expect(edits).toEqual([
      { flag: 'orders', before: 10, after: 30, heldBy: 'freeze' },
      { flag: 'catalog', before: 20, after: 25, heldBy: null },
    ])
    expect(percentageIn(flags)).toBe(10)
    expect(seed({ ...state, flags }, edited, LATER, isFrozen)).toEqual({ flags, edits: [] })
  })

  test('with an edit to the current percentage reports no edit', () => {
    const state = flipped(seeded(file), 'orders', 50)
    const edited = { ...file, features: (state.flags as EmbeddedFlags).features }
    const { flags, edits } = seed(state, edited, EARLIER)
    expect(edits).toEqual([])
    expect(percentageIn(flags)).toBe(50)
    // The digest of the file is known: another edit back to it counts as an edit.
    expect(seed({ ...state, flags }, file, LATER).edits).toEqual([
      { flag: 'orders', before: 50, after: 10, heldBy: null },
    ])
  })

  test('removes a flag that was removed from the file', () => {
    const { flags, edits } = seed(seeded(file), flagsAt({ catalog: 20 }), LATER)
    expect(edits).toEqual([{ flag: 'orders', before: 10, after: null, heldBy: null }])
    expect(flags.features.map(({ name }) => name)).toEqual(['catalog'])
    expect(seed(stateWith({ flags }), flagsAt({ catalog: 20 }), LATER).edits).toEqual([])
  })

  test('keeps a flag that was removed from the file but flipped since, and reports it', () => {
    const state = flipped(seeded(file), 'orders', 50)
    const { flags, edits } = seed(state, flagsAt({ catalog: 20 }), EARLIER)
    expect(edits).toEqual([{ flag: 'orders', before: 50, after: null, heldBy: 'flip' }])
    expect(percentageIn(flags)).toBe(50)
    expect(seed({ ...state, flags }, flagsAt({ catalog: 20 }), LATER).edits).toEqual([])
  })

  test('takes over a flag that returns to the file', () => {
    const without = seeded(flagsAt({ catalog: 20 }), seeded(file))
    expect(percentageIn(seed(without, file, LATER).flags)).toBe(10)
  })

  test('takes over all other keys of an edited flag', () => {
    const [orders, catalog] = file.features
    const edited = { ...file, features: [{ ...orders, name: 'orders', description: 'moved' }, catalog as never] }
    const { flags, edits } = seed(seeded(file), edited, LATER)
    expect(edits).toEqual([{ flag: 'orders', before: 10, after: 10, heldBy: null }])
    expect(flags.features[0]).toMatchObject({ description: 'moved' })
  })
})

describe('segments', () => {
  const segments = [{ id: 1, constraints: [] }]

  test('are those of the file, and an edit of them alone is an edit', () => {
    const state = seeded(file)
    const { flags, edits } = seed(state, { ...file, segments }, LATER)
    expect(flags).not.toBe(state.flags)
    expect(flags.segments).toEqual(segments)
    expect(edits).toEqual([])
  })

  test('stay if the file has the same segments, or still has none', () => {
    const state = seeded({ ...file, segments })
    expect(seed(state, { ...file, segments: structuredClone(segments) }, LATER).flags).toBe(state.flags)
    const none = seeded(file)
    expect(seed(none, { ...file, segments: [] }, LATER).flags).toBe(none.flags)
  })

  test('are removed if they are removed from the file', () => {
    expect(seed(seeded({ ...file, segments }), { ...file, segments: [] }, LATER).flags.segments).toEqual([])
    expect(seed(seeded({ ...file, segments }), file, LATER).flags.segments).toBeUndefined()
  })
})

test('are not confused with a flag of any name', () => {
  const odd = flagsAt({ constructor: 10, toString: 20 })
  const state = seeded(odd)
  expect(state.flags?.features.map(({ name }) => name)).toEqual(['constructor', 'toString'])
  expect(seed(state, odd, LATER).edits).toEqual([])
})
