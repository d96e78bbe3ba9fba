import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ContextState, EMPTY_STATE, type LastChange, type SharedState, type Verb } from '../model/shared-state.ts'
import { lostEntries, mergeStates } from './merge-states.ts'
import { parseState, serializeState } from './state-schema.ts'

const NAMES = ['catalog', 'orders', 'billing'] as const

/** A change of one entry, as gateways make them. */
type Change = { readonly entry: 'kill' | (typeof NAMES)[number]; readonly isLegacy: boolean; readonly at: number }
const change: fc.Arbitrary<Change> = fc.record({
  entry: fc.constantFrom('kill' as const, ...NAMES),
  isLegacy: fc.boolean(),
  at: fc.integer({ min: 1, max: 4 }),
})

function changed(state: SharedState, { entry, isLegacy, at }: Change): SharedState {
  const generation = state.generation + 1
  const stamp = { by: `operator-${at}`, reason: null, at }
  const of = (verb: Verb): LastChange => ({ ...stamp, verb, generation })
  if (entry === 'kill')
    return { ...state, generation, kill: isLegacy ? stamp : null, killChange: of(isLegacy ? 'kill' : 'revive') }
  const flip = { ...stamp, flag: `${entry}-flag`, percentage: at, generation }
  const pin = isLegacy ? { ...stamp, side: 'legacy' as const, until: null } : null
  const context: ContextState = { pin, freeze: null, flip, changed: of(isLegacy ? 'pin' : 'flip') }
  const features = [
    ...(state.flags?.features ?? []).filter(({ name }) => name !== flip.flag),
    { name: flip.flag, percentage: flip.percentage },
  ]
  return { ...state, generation, contexts: { ...state.contexts, [entry]: context }, flags: { version: 2, features } }
}

const grown = (from: SharedState, changes: readonly Change[]) => changes.reduce(changed, from)
/** Two states that have a past in common, which may be nothing, and have grown apart. */
const pair = fc
  .tuple(fc.array(change, { maxLength: 4 }), fc.array(change, { maxLength: 4 }), fc.array(change, { maxLength: 4 }))
  .map(([past, one, other]) => {
    const base = grown(EMPTY_STATE, past)
    return [grown(base, one), grown(base, other)] as const
  })

const generationOf = (state: SharedState, name: string) => state.contexts[name]?.changed?.generation ?? 0

describe('two states merge', () => {
  test('to the same, in whichever order', () => {
    fc.assert(
      fc.property(pair, ([one, other]) => {
        expect(mergeStates(one, other)).toEqual(mergeStates(other, one))
      }),
    )
  })

  test('to no other state when they are merged again', () => {
    fc.assert(
      fc.property(pair, ([one, other]) => {
        const merged = mergeStates(one, other)
        expect(mergeStates(one, one)).toBe(one)
        expect(mergeStates(merged, one)).toBe(merged)
        expect(mergeStates(other, merged)).toBe(merged)
      }),
    )
  })

  test('without the loss of an entry to one of a lower generation', () => {
    fc.assert(
      fc.property(pair, ([one, other]) => {
        const merged = mergeStates(one, other)
        for (const state of [one, other]) {
          expect(merged.generation).toBeGreaterThanOrEqual(state.generation)
          expect(merged.killChange?.generation ?? 0).toBeGreaterThanOrEqual(state.killChange?.generation ?? 0)
          for (const name of NAMES) expect(generationOf(merged, name)).toBeGreaterThanOrEqual(generationOf(state, name))
        }
      }),
    )
  })

  test('to a generation above both, unless one of them has every entry of the other', () => {
    fc.assert(
      fc.property(pair, ([one, other]) => {
        const merged = mergeStates(one, other)
        if (merged !== one && merged !== other)
          expect(merged.generation).toBe(Math.max(one.generation, other.generation) + 1)
      }),
    )
  })

  test('to the newer one where it has grown from the other', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 4 }), fc.array(change, { maxLength: 4 }), (past, since) => {
        const base = grown(EMPTY_STATE, past)
        const newer = grown(base, since)
        expect(mergeStates(base, newer)).toEqual(newer)
      }),
    )
  })

  test('to a state that a store can write and read, with each flag at the percentage of its context', () => {
    fc.assert(
      fc.property(pair, ([one, other]) => {
        const merged = mergeStates(one, other)
        expect(parseState(serializeState(merged))).toEqual(merged)
        for (const { flip } of Object.values(merged.contexts))
          expect(merged.flags?.features.find(({ name }) => name === flip?.flag)?.percentage).toBe(flip?.percentage)
      }),
    )
  })
})

const killAt = (from: SharedState, isLegacy = true) => changed(from, { entry: 'kill', isLegacy, at: 1 })
const flip = (from: SharedState, at = 1) => changed(from, { entry: 'catalog', isLegacy: false, at })

test('a kill outlives later changes of contexts by those who did not know of it', () => {
  const base = flip(EMPTY_STATE)
  const merged = mergeStates(killAt(base), flip(flip(flip(base))))
  expect(merged).toMatchObject({
    generation: 5,
    kill: { by: 'operator-1' },
    contexts: { catalog: { changed: { generation: 4 } } },
  })
})

test('a revive outlives them too', () => {
  const base = killAt(EMPTY_STATE)
  expect(mergeStates(killAt(base, false), flip(flip(base)))).toMatchObject({ generation: 4, kill: null })
})

test.each([
  [
    'a kill and a revive',
    killAt(killAt(EMPTY_STATE)),
    killAt(killAt(EMPTY_STATE), false),
    { kill: { by: 'operator-1' } },
  ],
  [
    'a pin to legacy and a flip',
    changed(EMPTY_STATE, { entry: 'catalog', isLegacy: true, at: 1 }),
    flip(EMPTY_STATE, 4),
    { contexts: { catalog: { pin: { side: 'legacy' } } } },
  ],
])('of %s of one generation, legacy is kept', (_, one, other, kept) => {
  expect(mergeStates(one, other)).toMatchObject(kept)
  expect(mergeStates(other, one)).toMatchObject(kept)
})

test('a kill by a gateway of the previous version, which has no generation, counts as new as its state', () => {
  const { killChange: _, ...killed } = killAt(flip(EMPTY_STATE))
  expect(mergeStates(killed, flip(flip(flip(EMPTY_STATE)))).kill).not.toBeNull()
  const stale = { ...killAt(EMPTY_STATE), generation: 5, kill: null }
  expect(mergeStates(stale, killAt(EMPTY_STATE)).kill).toBeNull()
})

test('the entries that one state has lost are listed', () => {
  const ours = killAt(changed(EMPTY_STATE, { entry: 'catalog', isLegacy: true, at: 1 }))
  const theirs = flip(flip(flip(EMPTY_STATE)))
  expect(lostEntries(ours, mergeStates(ours, theirs), () => true)).toEqual([
    'pin of catalog by operator-1 (generation 1)',
  ])
  expect(lostEntries(ours, EMPTY_STATE, () => true)).toHaveLength(2)
  expect(lostEntries(ours, EMPTY_STATE, () => false)).toEqual([])
})
