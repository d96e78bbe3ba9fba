import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NOON } from '../../lib/manual-clock.test-kit.ts'
import { EMPTY_CONTEXT, type EmbeddedFlags, type SharedState } from '../../model/shared-state.ts'
import { serializeState } from '../../store/state-schema.ts'
import { contextStateAt } from '../context-state.ts'
import {
  contextNamed,
  deepFrozen,
  flagsAt,
  stampAt,
  stateWith,
  type TestInput,
  transitionOf,
} from '../control.test-kit.ts'
import { controlsOf } from '../controls.ts'
import { percentageAmong } from '../flags/embedded/embedded-writer.ts'
import { rolloutAt } from '../flags/flag-rules.test-kit.ts'
import type { Change, Transition } from './change.ts'

const catalog = contextNamed('catalog')
const FLAG = catalog.flag
const LATER = NOON + 60_000

const embedded: TestInput = { stamp: stampAt(NOON, 'anna', 'launch'), context: catalog, unleash: undefined }
const inUnleash = (percentage: number | null): TestInput => ({ ...embedded, unleash: { percentage } })
const noContext: TestInput = { ...embedded, context: undefined }
const byBob = (input: TestInput, time = LATER): TestInput => ({
  ...input,
  stamp: stampAt(time, 'bob', 'again'),
})

const flip = (percentage: number): Change => ({ verb: 'flip', context: 'catalog', percentage })
const pin = (side: 'legacy' | 'service', until: number | null = null): Change => ({
  verb: 'pin',
  context: 'catalog',
  side,
  until,
})
const rollback = (isForced = false): Change => ({ verb: 'rollback', context: 'catalog', isForced })
const simple = (verb: 'unpin' | 'freeze' | 'thaw'): Change => ({ verb, context: 'catalog' })

function changeOf(state: SharedState, change: Change, input = embedded): Extract<Transition, { kind: 'change' }> {
  const transition = transitionOf(deepFrozen(state), change, input)
  if (transition.kind !== 'change') throw new Error(JSON.stringify(transition))
  return transition
}

/** The state after these changes, one after the other. */
function stateAfter(state: SharedState, ...changes: readonly Change[]): SharedState {
  return changes.reduce((current, change) => {
    const isOfAll = change.verb === 'kill' || change.verb === 'revive'
    return changeOf(current, change, isOfAll ? noContext : embedded).next
  }, state)
}

const refusal = (state: SharedState, change: Change, input = embedded) => {
  const transition = transitionOf(state, change, input)
  return transition.kind === 'refused' ? transition.why : transition
}

const at10 = stateWith({ flags: flagsAt({ [FLAG]: 10, other: 5 }), generation: 7 })
const immovable: EmbeddedFlags = {
  version: 2,
  features: [{ name: FLAG, enabled: true, strategies: [rolloutAt(50), rolloutAt(60)] }],
}

describe('a flip', () => {
  test('moves the embedded flag and puts the percentage on record', () => {
    const { next, ...facts } = changeOf(at10, flip(25))
    expect(facts).toEqual({ kind: 'change', before: 10, after: 25, until: null, note: null })
    expect(percentageAmong(next.flags as EmbeddedFlags, FLAG).percentage).toBe(25)
    expect(percentageAmong(next.flags as EmbeddedFlags, 'other').percentage).toBe(5)
    expect(contextStateAt(next, 'catalog', NOON).flip).toEqual({
      ...embedded.stamp,
      flag: FLAG,
      percentage: 25,
      generation: 8,
    })
  })

  test('creates a missing embedded flag, also if the state has no flags', () => {
    for (const flags of [flagsAt({ other: 5 }), null]) {
      const transition = changeOf(stateWith({ flags }), flip(25))
      const { next } = transition
      expect(transition.before).toBeNull()
      expect(percentageAmong(next.flags as EmbeddedFlags, FLAG).percentage).toBe(25)
    }
  })

  test('to the current percentage changes nothing', () => {
    expect(transitionOf(at10, flip(10), embedded)).toEqual({
      kind: 'unchanged',
      value: 10,
      note: 'it is at 10 % already',
    })
  })

  test('to the current percentage still notes what overrides it', () => {
    expect(transitionOf(stateAfter(at10, pin('service')), flip(10), embedded)).toMatchObject({
      kind: 'unchanged',
      note: 'it is at 10 % already; it is pinned to service by anna until it is unpinned: the percentage takes effect after that',
    })
    expect(transitionOf(stateAfter(at10, { verb: 'kill' }), flip(10), embedded)).toMatchObject({
      note: expect.stringMatching(/^it is at 10 % already; the kill switch is on/),
    })
  })

  test('is refused for a flag without a single percentage, with a hint for the operator', () => {
    expect(refusal(stateWith({ flags: immovable }), flip(25))).toContain('leave a single gradual rollout')
    const variants = [{ name: 'red' }, { name: 'blue' }]
    const experiment = { name: FLAG, enabled: true, strategies: [rolloutAt(50)], variants }
    expect(refusal(stateWith({ flags: { version: 2, features: [experiment] } }), flip(25))).toContain('2 variants')
  })

  test.each([-1, 101, 2.5, Number.NaN])('to %d is refused', (percentage) => {
    expect(refusal(at10, flip(percentage))).toContain('write a whole number from 0 to 100')
    expect(refusal(stateWith({}), flip(percentage), inUnleash(10))).toContain('write a whole number from 0 to 100')
  })

  test('with Unleash keeps the flags of the state and has the percentage of Unleash as the previous one', () => {
    const { next, ...facts } = changeOf(stateWith({ generation: 3 }), flip(25), inUnleash(10))
    expect({ ...facts, flags: next.flags }).toMatchObject({ before: 10, after: 25, flags: null })
    expect(contextStateAt(next, 'catalog', NOON).flip).toMatchObject({ percentage: 25, generation: 4 })
  })

  test('with Unleash changes nothing if both the flag and the record have the percentage', () => {
    const { next } = changeOf(stateWith({}), flip(25), inUnleash(10))
    expect(transitionOf(next, flip(25), inUnleash(25))).toMatchObject({ kind: 'unchanged', value: 25 })
    expect(transitionOf(next, flip(25), inUnleash(10)).kind).toBe('change')
    expect(transitionOf(stateWith({}), flip(25), inUnleash(25)).kind).toBe('change')
  })

  test('notes what overrides the percentage', () => {
    expect(changeOf(stateAfter(at10, pin('legacy')), flip(25)).note).toBe(
      'it is pinned to legacy by anna until it is unpinned: the percentage takes effect after that',
    )
    expect(changeOf(stateAfter(at10, pin('legacy', LATER)), flip(25)).note).toContain('until 2026-01-01T12:01:00.000Z')
    expect(changeOf(stateAfter(at10, { verb: 'kill' }), flip(25)).note).toMatch(/^the kill switch is on/)
  })

  test('to a lower percentage warns for a forward-only context; to a higher one it does not', () => {
    const forwardOnly = { ...embedded, context: contextNamed('catalog', { rollback: 'forward-only' }) }
    expect(changeOf(at10, flip(5), forwardOnly).note).toContain('marked forward-only')
    expect(changeOf(at10, flip(11), forwardOnly).note).toBeNull()
    expect(changeOf(at10, pin('legacy'), forwardOnly).note).toContain('marked forward-only')
    expect(changeOf(at10, pin('service'), forwardOnly).note).toBeNull()
  })
})

describe('a pin', () => {
  test('has an end or no end', () => {
    const ending = changeOf(at10, pin('service', LATER))
    expect(ending).toMatchObject({ before: null, after: { side: 'service', until: LATER }, until: LATER, note: null })
    expect(contextStateAt(ending.next, 'catalog', NOON).pin).toEqual({
      ...embedded.stamp,
      side: 'service',
      until: LATER,
    })
    expect(changeOf(at10, pin('legacy'))).toMatchObject({ after: { side: 'legacy', until: null }, until: null })
  })

  test.each([NOON, NOON - 1, Number.NaN, Number.POSITIVE_INFINITY])('with the invalid end %d is refused', (until) => {
    expect(refusal(at10, pin('legacy', until))).toContain('a pin must end in the future')
  })

  test('does not count from the millisecond of its end on', () => {
    const { next } = changeOf(at10, pin('service', LATER))
    expect(contextStateAt(next, 'catalog', LATER - 1).pin).not.toBeNull()
    expect(contextStateAt(next, 'catalog', LATER).pin).toBeNull()
    expect(transitionOf(next, simple('unpin'), byBob(embedded))).toMatchObject({ kind: 'unchanged' })
    expect(changeOf(next, pin('legacy'), byBob(embedded)).before).toBeNull()
    expect(changeOf(next, flip(30), byBob(embedded)).note).toBeNull()
    expect(changeOf(next, simple('freeze'), byBob(embedded)).next.contexts.catalog?.pin).toBeNull()
  })

  test('that replaces another names the author of that one', () => {
    const transition = changeOf(stateAfter(at10, pin('legacy')), pin('service', LATER + 1), byBob(embedded))
    expect(transition.before).toEqual({ side: 'legacy', until: null })
    expect(transition.note).toBe('it was pinned to legacy by anna (launch) until it is unpinned: that pin is replaced')
    expect(contextStateAt(transition.next, 'catalog', LATER).pin).toMatchObject({ by: 'bob', side: 'service' })
  })

  test('notes that the kill switch overrides it', () => {
    expect(changeOf(stateAfter(at10, { verb: 'kill' }), pin('service')).note).toMatch(/^the kill switch is on/)
  })
})

describe('an unpin', () => {
  test('removes the pin and notes the percentage that decides', () => {
    const pinned = stateAfter(at10, pin('service', LATER))
    const transition = changeOf(pinned, simple('unpin'))
    expect(transition).toMatchObject({ before: { side: 'service', until: LATER }, after: null, until: null })
    expect(transition.note).toBe('its flag decides now, at 10 %')
    expect(contextStateAt(transition.next, 'catalog', NOON).pin).toBeNull()
    expect(transition.next.flags).toBe(pinned.flags)
  })

  test('of a context without a pin changes nothing', () => {
    expect(transitionOf(at10, simple('unpin'), embedded)).toEqual({
      kind: 'unchanged',
      value: null,
      note: 'it was not pinned',
    })
  })

  test('after a rollback leaves the percentage at 0', () => {
    const transition = changeOf(stateAfter(at10, rollback()), simple('unpin'))
    expect(transition.note).toBe('its flag decides now, at 0 %')
    expect(percentageAmong(transition.next.flags as EmbeddedFlags, FLAG).percentage).toBe(0)
  })

  test('after a rollback whose 0 % Unleash does not have yet notes the percentage of Unleash', () => {
    const { next } = changeOf(stateWith({}), rollback(), inUnleash(25))
    expect(changeOf(next, simple('unpin'), inUnleash(25)).note).toBe('its flag decides now, at 25 %')
    const { flip } = contextStateAt(changeOf(next, simple('unpin'), inUnleash(25)).next, 'catalog', NOON)
    expect(flip).toMatchObject({ percentage: 25, generation: 2 })
    expect(flip).not.toHaveProperty('byRollback')
  })

  test('after a rollback whose 0 % Unleash has leaves the flag to its next change', () => {
    const { next } = changeOf(stateWith({}), rollback(), inUnleash(25))
    const { flip } = contextStateAt(changeOf(next, simple('unpin'), inUnleash(0)).next, 'catalog', NOON)
    expect(flip).toMatchObject({ percentage: 0 })
    expect(flip).not.toHaveProperty('byRollback')
  })

  test('of a flag without a single percentage, or under the kill switch, notes it', () => {
    const pinned = stateWith({ flags: immovable })
    expect(changeOf(stateAfter(pinned, pin('legacy')), simple('unpin')).note).toBe('its flag decides now')
    expect(changeOf(stateAfter(at10, pin('legacy'), { verb: 'kill' }), simple('unpin')).note).toMatch(
      /^the kill switch/,
    )
  })
})

describe('a rollback', () => {
  test('pins to legacy without an end and sets the embedded flag to 0', () => {
    const { next, ...facts } = changeOf(at10, rollback())
    expect(facts).toEqual({
      kind: 'change',
      before: { pin: null, percentage: 10 },
      after: { pin: 'legacy', percentage: 0 },
      until: null,
      note: null,
    })
    expect(contextStateAt(next, 'catalog', NOON)).toMatchObject({
      pin: { side: 'legacy', until: null, by: 'anna', reason: 'launch' },
      flip: { percentage: 0, generation: 8 },
    })
    expect(percentageAmong(next.flags as EmbeddedFlags, FLAG).percentage).toBe(0)
    expect(percentageAmong(next.flags as EmbeddedFlags, 'other').percentage).toBe(5)
  })

  test('with Unleash pins and leaves the flags of the state as they are', () => {
    const { next, ...facts } = changeOf(stateWith({}), rollback(), inUnleash(40))
    expect(facts.before).toEqual({ pin: null, percentage: 40 })
    expect(next.flags).toBeNull()
    expect(contextStateAt(next, 'catalog', NOON)).toMatchObject({ pin: { side: 'legacy' }, flip: { percentage: 0 } })
  })

  test('replaces a pin to the service', () => {
    const transition = changeOf(stateAfter(at10, pin('service', LATER)), rollback())
    expect(transition.before).toEqual({ pin: { side: 'service', until: LATER }, percentage: 10 })
    expect(contextStateAt(transition.next, 'catalog', NOON).pin).toMatchObject({ side: 'legacy', until: null })
  })

  test('of a flag without a single percentage notes that only the pin holds it', () => {
    const state = stateWith({ flags: immovable })
    const transition = changeOf(state, rollback())
    expect(transition.after).toEqual({ pin: 'legacy', percentage: null })
    expect(transition.note).toContain('the pin keeps it on legacy; its flag could not be set to 0')
    expect(transition.note).toContain('leave a single gradual rollout')
    expect(transition.next.flags).toBe(state.flags)
    expect(contextStateAt(transition.next, 'catalog', NOON).flip).toBeNull()
  })

  test('does not create a missing flag', () => {
    const transition = changeOf(stateWith({ flags: flagsAt({ other: 5 }) }), rollback())
    expect(transition.next.flags?.features.map(({ name }) => name)).toEqual(['other'])
    expect(transition.note).toBeNull()
  })

  test('of a context that is rolled back keeps the first author and names them', () => {
    const state = stateAfter(at10, rollback())
    expect(transitionOf(state, rollback(), byBob(embedded))).toEqual({
      kind: 'unchanged',
      value: { pin: 'legacy', percentage: 0 },
      note: 'it is rolled back already: pinned to legacy by anna (launch) since 2026-01-01T12:00:00.000Z',
    })
    const { next } = changeOf(stateWith({}), rollback(), inUnleash(40))
    expect(transitionOf(next, rollback(), byBob(inUnleash(40))).kind).toBe('unchanged')
    expect(transitionOf(stateAfter(stateWith({ flags: immovable }), rollback()), rollback(), embedded)).toMatchObject({
      kind: 'unchanged',
      value: { pin: 'legacy', percentage: null },
      note: expect.stringContaining('could not be set to 0'),
    })
  })

  test('is a change again if the flag was raised or the pin has an end', () => {
    expect(changeOf(stateAfter(at10, rollback(), flip(20)), rollback()).before).toEqual({
      pin: { side: 'legacy', until: null },
      percentage: 20,
    })
    expect(changeOf(stateAfter(at10, flip(0), pin('legacy', LATER)), rollback()).after).toEqual({
      pin: 'legacy',
      percentage: 0,
    })
  })

  test('works while the context is frozen and keeps the freeze', () => {
    const { next } = changeOf(stateAfter(at10, simple('freeze')), rollback())
    expect(contextStateAt(next, 'catalog', NOON)).toMatchObject({ pin: { side: 'legacy' }, freeze: { by: 'anna' } })
  })

  test('of a forward-only context must be forced, and the refusal has the reason', () => {
    const forwardOnly = { ...embedded, context: contextNamed('catalog', { rollback: 'forward-only' }) }
    expect(refusal(at10, rollback(), forwardOnly)).toMatch(/forward-only.*legacy may not be able to read.*--force/)
    expect(changeOf(at10, rollback(true), forwardOnly).after).toEqual({ pin: 'legacy', percentage: 0 })
  })

  test('under the kill switch notes that it stays after the kill switch', () => {
    expect(changeOf(stateAfter(at10, { verb: 'kill' }), rollback()).note).toMatch(/^the kill switch is on/)
  })
})

describe('freeze and thaw', () => {
  const frozen = stateAfter(at10, simple('freeze'))

  test.each([flip(20), pin('legacy'), simple('unpin')])(
    'refuse $verb of a frozen context with the author of the freeze',
    (change) => {
      expect(refusal(frozen, change, byBob(embedded))).toBe(
        '"catalog" is frozen by anna since 2026-01-01T12:00:00.000Z (launch): thaw it first; rollback and kill still work',
      )
      expect(refusal(frozen, change, byBob(inUnleash(10)))).toContain('is frozen')
    },
  )

  test('take effect once', () => {
    expect(contextStateAt(frozen, 'catalog', NOON).freeze).toEqual(embedded.stamp)
    expect(transitionOf(frozen, simple('freeze'), byBob(embedded))).toEqual({
      kind: 'unchanged',
      value: 'frozen',
      note: 'it is frozen by anna since 2026-01-01T12:00:00.000Z (launch)',
    })
    const thawed = changeOf(frozen, simple('thaw'))
    expect(thawed).toMatchObject({ before: 'frozen', after: 'thawed' })
    expect(contextStateAt(thawed.next, 'catalog', NOON).freeze).toBeNull()
    expect(transitionOf(thawed.next, simple('thaw'), embedded)).toMatchObject({
      kind: 'unchanged',
      note: 'it was not frozen',
    })
  })

  test('keep the pin, and leave other contexts free to change', () => {
    const { next } = changeOf(stateAfter(at10, pin('legacy')), simple('freeze'))
    expect(contextStateAt(next, 'catalog', NOON).pin).not.toBeNull()
    const orders = { ...embedded, context: contextNamed('orders') }
    expect(transitionOf(next, { verb: 'flip', context: 'orders', percentage: 5 }, orders).kind).toBe('change')
  })
})

describe('kill and revive', () => {
  test('take effect once and name the author', () => {
    const killed = changeOf(at10, { verb: 'kill' }, noContext)
    expect(killed).toMatchObject({ before: false, after: true, until: null, note: null })
    expect(killed.next.kill).toEqual(embedded.stamp)
    expect(transitionOf(killed.next, { verb: 'kill' }, byBob(noContext))).toEqual({
      kind: 'unchanged',
      value: true,
      note: 'the kill switch is on, by anna',
    })
    const revived = changeOf(killed.next, { verb: 'revive' }, noContext)
    expect(revived).toMatchObject({ before: true, after: false, note: null })
    expect(transitionOf(revived.next, { verb: 'revive' }, noContext)).toMatchObject({ kind: 'unchanged', value: false })
  })

  test('leave everything else in the state as it is', () => {
    const state = stateAfter(at10, pin('service'), simple('freeze'))
    const { next } = changeOf(changeOf(state, { verb: 'kill' }, noContext).next, { verb: 'revive' }, noContext)
    const generation = state.generation + 2
    expect(next).toEqual({ ...state, generation, killChange: { ...embedded.stamp, verb: 'revive', generation } })
    expect(next.contexts).toBe(state.contexts)
  })
})

describe('any sequence of changes', () => {
  const contexts = {
    catalog,
    orders: contextNamed('orders', { rollback: 'forward-only' }),
    // Names of properties that every object has.
    constructor: contextNamed('constructor'),
  }
  const context = fc.constantFrom('catalog', 'orders')
  const difference = fc.constantFrom('a', 'b', '__proto__').map((fingerprint) => {
    return { fingerprint, route: 'GET /', field: 'value $.a' as const }
  })
  const change: fc.Arbitrary<Change> = fc.oneof(
    fc.record({ verb: fc.constant('flip' as const), context, percentage: fc.integer({ min: -1, max: 101 }) }),
    fc.record({
      verb: fc.constant('pin' as const),
      context,
      side: fc.constantFrom('legacy' as const, 'service' as const),
      until: fc.option(fc.integer({ min: NOON, max: NOON + 100 })),
    }),
    fc.record({ verb: fc.constantFrom('unpin' as const, 'freeze' as const, 'thaw' as const), context }),
    fc.record({ verb: fc.constant('rollback' as const), context, isForced: fc.boolean() }),
    fc.record({
      verb: fc.constant('shadow' as const),
      context,
      percentage: fc.option(fc.integer({ min: -1, max: 101 })),
    }),
    fc.record({
      verb: fc.constant('rule' as const),
      context,
      difference,
      ruling: fc.constantFrom('real' as const, 'noise' as const, null),
    }),
    fc.record({ verb: fc.constant('resolve' as const), context, difference }),
    fc.record({ verb: fc.constantFrom('kill' as const, 'revive' as const) }),
  )
  const step = fc.record({ change, passes: fc.nat(30), unleash: fc.option(fc.nat(100), { nil: undefined }) })

  test('raises the generation by one, keeps other contexts and freezes, and can be serialized', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.boolean(), (steps, isEmbedded) => {
        let state: SharedState = stateWith({ flags: isEmbedded ? flagsAt({ [FLAG]: 10, 'orders-flag': 20 }) : null })
        let now = NOON
        for (const { change, passes, unleash } of steps) {
          now += passes
          const name = 'context' in change ? change.context : undefined
          const input: TestInput = {
            stamp: stampAt(now, 'anna'),
            context: name === undefined ? undefined : contexts[name as keyof typeof contexts],
            unleash: isEmbedded ? undefined : { percentage: unleash ?? null },
          }
          const transition = transitionOf(deepFrozen(state), change, input)
          expect(transitionOf(state, change, input)).toEqual(transition)
          if (transition.kind !== 'change') continue
          const { next } = transition
          expect(next.generation).toBe(state.generation + 1)
          for (const other of Object.keys(state.contexts))
            if (other !== name) expect(next.contexts[other]).toBe(state.contexts[other])
          if (name === undefined) expect(next.contexts).toBe(state.contexts)
          else {
            const previous = contextStateAt(state, name, now)
            const current = contextStateAt(next, name, now)
            expect(next.kill).toBe(state.kill)
            expect(current.changed).toEqual({ ...input.stamp, verb: change.verb, generation: next.generation })
            const movesNobody = ['shadow', 'rule', 'resolve'].includes(change.verb)
            if (previous.freeze !== null && !movesNobody) expect(['thaw', 'rollback']).toContain(change.verb)
            if (movesNobody) {
              expect(next.flags).toBe(state.flags)
              expect(current).toMatchObject({ pin: previous.pin, freeze: previous.freeze, flip: previous.flip })
            } else expect([current.shadow, current.differences]).toEqual([previous.shadow, previous.differences])
            if (change.verb === 'rollback') expect(controlsOf(next, [], now + 1e9).pins.get(name)).toBe('legacy')
            if (current.flip !== previous.flip && current.flip !== null && !['unpin', 'pin'].includes(change.verb))
              expect(current.flip.generation).toBe(next.generation)
          }
          if (!isEmbedded) expect(next.flags).toBeNull()
          expect(JSON.parse(serializeState(next))).toEqual(next)
          if (change.verb !== 'pin' && change.verb !== 'resolve' && (isEmbedded || change.verb !== 'flip'))
            expect(transitionOf(next, change, input).kind, `${change.verb} twice`).toBe('unchanged')
          state = next
        }
      }),
    )
  })

  test('starts from the empty state for a context named like a property of every object', () => {
    expect(contextStateAt(stateWith({}), 'constructor', NOON)).toBe(EMPTY_CONTEXT)
  })
})
