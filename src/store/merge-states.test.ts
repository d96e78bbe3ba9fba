import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ContextState, EMPTY_STATE, type LastChange, type SharedState, type Verb } from '../model/shared-state.ts'
import { lostEntries, mergeStates } from './merge-states.ts'
import { parseState, serializeState } from './state-schema.ts'

const NAMES = ['catalog', 'orders', 'billing'] as const

/** A change of one entry, as a gateway makes it. */
type Change = { readonly entry: 'kill' | (typeof NAMES)[number]; readonly isLegacy: boolean; readonly operator: number }
const change: fc.Arbitrary<Change> = fc.record({
  entry: fc.constantFrom('kill' as const, ...NAMES),
  isLegacy: fc.boolean(),
  operator: fc.integer({ min: 1, max: 4 }),
})

function applyChange(state: SharedState, { entry, isLegacy, operator }: Change): SharedState {
  const generation = state.generation + 1
  const stamp = { by: `operator-${operator}`, reason: null, at: operator }
  const createChange = (verb: Verb): LastChange => ({ ...stamp, verb, generation })
  if (entry === 'kill')
    return {
      ...state,
      generation,
      kill: isLegacy ? stamp : null,
      killChange: createChange(isLegacy ? 'kill' : 'revive'),
    }
  const flip = { ...stamp, flag: `${entry}-flag`, percentage: operator, generation }
  const pin = isLegacy ? { ...stamp, side: 'legacy' as const, until: null } : null
  const context: ContextState = { pin, freeze: null, flip, changed: createChange(isLegacy ? 'pin' : 'flip') }
  const features = [
    ...(state.flags?.features ?? []).filter(({ name }) => name !== flip.flag),
    { name: flip.flag, percentage: flip.percentage },
  ]
  return { ...state, generation, contexts: { ...state.contexts, [entry]: context }, flags: { version: 2, features } }
}

const applyChanges = (from: SharedState, changes: readonly Change[]) => changes.reduce(applyChange, from)
/** Two states that diverged after common changes, or from the empty state. */
const pair = fc
  .tuple(fc.array(change, { maxLength: 4 }), fc.array(change, { maxLength: 4 }), fc.array(change, { maxLength: 4 }))
  .map(([past, first, second]) => {
    const base = applyChanges(EMPTY_STATE, past)
    return [applyChanges(base, first), applyChanges(base, second)] as const
  })

const generationOf = (state: SharedState, name: string) => state.contexts[name]?.changed?.generation ?? 0

describe('mergeStates', () => {
  test('returns the same state for both orders of its arguments', () => {
    fc.assert(
      fc.property(pair, ([first, second]) => {
        expect(mergeStates(first, second)).toEqual(mergeStates(second, first))
      }),
    )
  })

  test('returns its result unchanged when it is merged with an argument again', () => {
    fc.assert(
      fc.property(pair, ([first, second]) => {
        const merged = mergeStates(first, second)
        expect(mergeStates(first, first)).toBe(first)
        expect(mergeStates(merged, first)).toBe(merged)
        // Equal, but not always the same object: the arguments can be two objects with equal content.
        expect(mergeStates(second, merged)).toEqual(merged)
      }),
    )
  })

  test('never replaces an entry by one of a lower generation', () => {
    fc.assert(
      fc.property(pair, ([first, second]) => {
        const merged = mergeStates(first, second)
        for (const state of [first, second]) {
          expect(merged.generation).toBeGreaterThanOrEqual(state.generation)
          expect(merged.killChange?.generation ?? 0).toBeGreaterThanOrEqual(state.killChange?.generation ?? 0)
          for (const name of NAMES) expect(generationOf(merged, name)).toBeGreaterThanOrEqual(generationOf(state, name))
        }
      }),
    )
  })

  test('returns a generation above both, unless one of the states contains every entry of the other', () => {
    fc.assert(
      fc.property(pair, ([first, second]) => {
        const merged = mergeStates(first, second)
        if (merged !== first && merged !== second)
          expect(merged.generation).toBe(Math.max(first.generation, second.generation) + 1)
      }),
    )
  })

  test('returns the newer state if it was made from the older one', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 4 }), fc.array(change, { maxLength: 4 }), (past, since) => {
        const base = applyChanges(EMPTY_STATE, past)
        const newer = applyChanges(base, since)
        expect(mergeStates(base, newer)).toEqual(newer)
      }),
    )
  })

  test('returns a state that a store can write and read, with each flag at the percentage of its context', () => {
    fc.assert(
      fc.property(pair, ([first, second]) => {
        const merged = mergeStates(first, second)
        expect(parseState(serializeState(merged))).toEqual(merged)
        for (const { flip } of Object.values(merged.contexts))
          expect(merged.flags?.features.find(({ name }) => name === flip?.flag)?.percentage).toBe(flip?.percentage)
      }),
    )
  })
})

const killAt = (from: SharedState, isLegacy = true) => applyChange(from, { entry: 'kill', isLegacy, operator: 1 })
const flip = (from: SharedState, operator = 1) => applyChange(from, { entry: 'catalog', isLegacy: false, operator })

test('a kill survives later changes of contexts by gateways that had not received it', () => {
  const base = flip(EMPTY_STATE)
  const merged = mergeStates(killAt(base), flip(flip(flip(base))))
  expect(merged).toMatchObject({
    generation: 5,
    kill: { by: 'operator-1' },
    contexts: { catalog: { changed: { generation: 4 } } },
  })
})

test('a revive survives later changes of contexts too', () => {
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
    applyChange(EMPTY_STATE, { entry: 'catalog', isLegacy: true, operator: 1 }),
    flip(EMPTY_STATE, 4),
    { contexts: { catalog: { pin: { side: 'legacy' } } } },
  ],
])('of %s with the same generation, the one that selects legacy wins', (_, first, second, expected) => {
  expect(mergeStates(first, second)).toMatchObject(expected)
  expect(mergeStates(second, first)).toMatchObject(expected)
})

test('a kill by a gateway of the previous version, which has no generation, has the generation of its state', () => {
  const { killChange: _, ...killed } = killAt(flip(EMPTY_STATE))
  expect(mergeStates(killed, flip(flip(flip(EMPTY_STATE)))).kill).not.toBeNull()
  const stale = { ...killAt(EMPTY_STATE), generation: 5, kill: null }
  expect(mergeStates(stale, killAt(EMPTY_STATE)).kill).toBeNull()
})

test('lostEntries lists the entries that a state has lost', () => {
  const ours = killAt(applyChange(EMPTY_STATE, { entry: 'catalog', isLegacy: true, operator: 1 }))
  const theirs = flip(flip(flip(EMPTY_STATE)))
  expect(lostEntries(ours, mergeStates(ours, theirs), () => true)).toEqual([
    'pin of catalog by operator-1 (generation 1)',
  ])
  expect(lostEntries(ours, EMPTY_STATE, () => true)).toHaveLength(2)
  expect(lostEntries(ours, EMPTY_STATE, () => false)).toEqual([])
})
