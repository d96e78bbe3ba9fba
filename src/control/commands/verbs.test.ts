import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EMPTY_CONTEXT, type EmbeddedFlags, type SharedState } from '../../model/shared-state.ts'
import { serializeState } from '../../store/state-schema.ts'
import { contextNamed, deepFrozen, flagsAt, NOON, stampAt, stateWith } from '../control.test-kit.ts'
import { controlsOf } from '../controls.ts'
import { percentageAmong } from '../flags/embedded/embedded-writer.ts'
import { rolloutAt } from '../flags/flag-rules.test-kit.ts'
import { type Circumstances, type Command, contextOf, type Turn, turn } from './verbs.ts'

const catalog = contextNamed('catalog')
const FLAG = catalog.flag
const LATER = NOON + 60_000

const embedded: Circumstances = { stamp: stampAt(NOON, 'anna', 'launch'), context: catalog, unleash: undefined }
const inUnleash = (percentage: number | null): Circumstances => ({ ...embedded, unleash: { percentage } })
const noContext: Circumstances = { ...embedded, context: undefined }
const bybob = (circumstances: Circumstances, at = LATER): Circumstances => ({
  ...circumstances,
  stamp: stampAt(at, 'bob', 'again'),
})

const flip = (percentage: number): Command => ({ verb: 'flip', context: 'catalog', percentage })
const pin = (side: 'legacy' | 'service', until: number | null = null): Command => ({
  verb: 'pin',
  context: 'catalog',
  side,
  until,
})
const rollback = (isForced = false): Command => ({ verb: 'rollback', context: 'catalog', isForced })
const simple = (verb: 'unpin' | 'freeze' | 'thaw'): Command => ({ verb, context: 'catalog' })

function changed(state: SharedState, command: Command, circumstances = embedded): Extract<Turn, { kind: 'change' }> {
  const taken = turn(deepFrozen(state), command, circumstances)
  if (taken.kind !== 'change') throw new Error(JSON.stringify(taken))
  return taken
}

/** The state after one command upon the other. */
function upon(state: SharedState, ...commands: readonly Command[]): SharedState {
  return commands.reduce((was, command) => {
    const isOfAll = command.verb === 'kill' || command.verb === 'revive'
    return changed(was, command, isOfAll ? noContext : embedded).next
  }, state)
}

const refusal = (state: SharedState, command: Command, circumstances = embedded) => {
  const taken = turn(state, command, circumstances)
  return taken.kind === 'refused' ? taken.why : taken
}

const at10 = stateWith({ flags: flagsAt({ [FLAG]: 10, other: 5 }), generation: 7 })
const immovable: EmbeddedFlags = {
  version: 2,
  features: [{ name: FLAG, enabled: true, strategies: [rolloutAt(50), rolloutAt(60)] }],
}

describe('flip', () => {
  test('moves the embedded flag, and is on record', () => {
    const { next, ...told } = changed(at10, flip(25))
    expect(told).toEqual({ kind: 'change', before: 10, after: 25, until: null, note: null })
    expect(percentageAmong(next.flags as EmbeddedFlags, FLAG).percentage).toBe(25)
    expect(percentageAmong(next.flags as EmbeddedFlags, 'other').percentage).toBe(5)
    expect(contextOf(next, 'catalog', NOON).flip).toEqual({
      ...embedded.stamp,
      flag: FLAG,
      percentage: 25,
      generation: 8,
    })
  })

  test('makes an embedded flag that is not there, and flags where there are none', () => {
    for (const flags of [flagsAt({ other: 5 }), null]) {
      const { next, before } = changed(stateWith({ flags }), flip(25))
      expect(before).toBeNull()
      expect(percentageAmong(next.flags as EmbeddedFlags, FLAG).percentage).toBe(25)
    }
  })

  test('to what it is already changes nothing', () => {
    expect(turn(at10, flip(10), embedded)).toEqual({ kind: 'unchanged', is: 10, note: 'it is at 10 % already' })
  })

  test('to what it is already does not hide that the percentage does not show', () => {
    expect(turn(upon(at10, pin('service')), flip(10), embedded)).toMatchObject({
      kind: 'unchanged',
      note: 'it is at 10 % already; it is pinned to service by anna until it is unpinned: the percentage shows after that',
    })
    expect(turn(upon(at10, { verb: 'kill' }), flip(10), embedded)).toMatchObject({
      note: expect.stringMatching(/^it is at 10 % already; the kill switch is on/),
    })
  })

  test('is refused for a flag that one percentage cannot move, with what to do', () => {
    expect(refusal(stateWith({ flags: immovable }), flip(25))).toContain('leave a single gradual rollout')
    const variants = [{ name: 'red' }, { name: 'blue' }]
    const experiment = { name: FLAG, enabled: true, strategies: [rolloutAt(50)], variants }
    expect(refusal(stateWith({ flags: { version: 2, features: [experiment] } }), flip(25))).toContain('2 variants')
  })

  test.each([-1, 101, 2.5, Number.NaN])('to %d is refused', (percentage) => {
    expect(refusal(at10, flip(percentage))).toContain('write a whole number from 0 to 100')
    expect(refusal(stateWith({}), flip(percentage), inUnleash(10))).toContain('write a whole number from 0 to 100')
  })

  test('with an Unleash leaves the flags of the state alone, and tells what was there', () => {
    const { next, before, after: now } = changed(stateWith({ generation: 3 }), flip(25), inUnleash(10))
    expect({ before, now, flags: next.flags }).toEqual({ before: 10, now: 25, flags: null })
    expect(contextOf(next, 'catalog', NOON).flip).toMatchObject({ percentage: 25, generation: 4 })
  })

  test('with an Unleash is nothing new where flag and record have it already', () => {
    const { next } = changed(stateWith({}), flip(25), inUnleash(10))
    expect(turn(next, flip(25), inUnleash(25))).toMatchObject({ kind: 'unchanged', is: 25 })
    expect(turn(next, flip(25), inUnleash(10)).kind).toBe('change')
    expect(turn(stateWith({}), flip(25), inUnleash(25)).kind).toBe('change')
  })

  test('says what keeps the percentage from showing', () => {
    expect(changed(upon(at10, pin('legacy')), flip(25)).note).toBe(
      'it is pinned to legacy by anna until it is unpinned: the percentage shows after that',
    )
    expect(changed(upon(at10, pin('legacy', LATER)), flip(25)).note).toContain('until 2026-01-01T12:01:00.000Z')
    expect(changed(upon(at10, { verb: 'kill' }), flip(25)).note).toMatch(/^the kill switch is on/)
  })

  test('down, of a context that is marked forward-only, says what that may mean; up does not', () => {
    const forwardOnly = { ...embedded, context: contextNamed('catalog', { rollback: 'forward-only' }) }
    expect(changed(at10, flip(5), forwardOnly).note).toContain('marked forward-only')
    expect(changed(at10, flip(11), forwardOnly).note).toBeNull()
    expect(changed(at10, pin('legacy'), forwardOnly).note).toContain('marked forward-only')
    expect(changed(at10, pin('service'), forwardOnly).note).toBeNull()
  })
})

describe('pin', () => {
  test('has an end, or has none', () => {
    const ending = changed(at10, pin('service', LATER))
    expect(ending).toMatchObject({ before: null, after: { side: 'service', until: LATER }, until: LATER, note: null })
    expect(contextOf(ending.next, 'catalog', NOON).pin).toEqual({ ...embedded.stamp, side: 'service', until: LATER })
    expect(changed(at10, pin('legacy'))).toMatchObject({ after: { side: 'legacy', until: null }, until: null })
  })

  test.each([NOON, NOON - 1, Number.NaN, Number.POSITIVE_INFINITY])(
    'with an end of %d is none, and is refused',
    (until) => {
      expect(refusal(at10, pin('legacy', until))).toContain('a pin must end later than now')
    },
  )

  test('that has come to its end counts as none, from its last millisecond on', () => {
    const { next } = changed(at10, pin('service', LATER))
    expect(contextOf(next, 'catalog', LATER - 1).pin).not.toBeNull()
    expect(contextOf(next, 'catalog', LATER).pin).toBeNull()
    expect(turn(next, simple('unpin'), bybob(embedded))).toMatchObject({ kind: 'unchanged' })
    expect(changed(next, pin('legacy'), bybob(embedded)).before).toBeNull()
    expect(changed(next, flip(30), bybob(embedded)).note).toBeNull()
    expect(changed(next, simple('freeze'), bybob(embedded)).next.contexts.catalog?.pin).toBeNull()
  })

  test('in the place of another says whose', () => {
    const taken = changed(upon(at10, pin('legacy')), pin('service', LATER + 1), bybob(embedded))
    expect(taken.before).toEqual({ side: 'legacy', until: null })
    expect(taken.note).toBe('it was pinned to legacy by anna (launch) until it is unpinned: that pin is gone')
    expect(contextOf(taken.next, 'catalog', LATER).pin).toMatchObject({ by: 'bob', side: 'service' })
  })

  test('says that it does not show while everything is killed', () => {
    expect(changed(upon(at10, { verb: 'kill' }), pin('service')).note).toMatch(/^the kill switch is on/)
  })
})

describe('unpin', () => {
  test('takes the pin off, and says what decides then', () => {
    const pinned = upon(at10, pin('service', LATER))
    const taken = changed(pinned, simple('unpin'))
    expect(taken).toMatchObject({ before: { side: 'service', until: LATER }, after: null, until: null })
    expect(taken.note).toBe('its flag decides now, at 10 %')
    expect(contextOf(taken.next, 'catalog', NOON).pin).toBeNull()
    expect(taken.next.flags).toBe(pinned.flags)
  })

  test('of what is not pinned changes nothing', () => {
    expect(turn(at10, simple('unpin'), embedded)).toEqual({ kind: 'unchanged', is: null, note: 'it was not pinned' })
  })

  test('after a rollback leaves the percentage at 0', () => {
    const taken = changed(upon(at10, rollback()), simple('unpin'))
    expect(taken.note).toBe('its flag decides now, at 0 %')
    expect(percentageAmong(taken.next.flags as EmbeddedFlags, FLAG).percentage).toBe(0)
  })

  test('after a rollback whose 0 Unleash does not have yet says what it has', () => {
    const { next } = changed(stateWith({}), rollback(), inUnleash(25))
    expect(changed(next, simple('unpin'), inUnleash(25)).note).toBe('its flag decides now, at 25 %')
    const { flip } = contextOf(changed(next, simple('unpin'), inUnleash(25)).next, 'catalog', NOON)
    expect(flip).toMatchObject({ percentage: 25, generation: 2 })
    expect(flip).not.toHaveProperty('byRollback')
  })

  test('after a rollback whose 0 Unleash has leaves it to whoever moves the flag next', () => {
    const { next } = changed(stateWith({}), rollback(), inUnleash(25))
    const { flip } = contextOf(changed(next, simple('unpin'), inUnleash(0)).next, 'catalog', NOON)
    expect(flip).toMatchObject({ percentage: 0 })
    expect(flip).not.toHaveProperty('byRollback')
  })

  test('of a flag without one percentage, or under the kill switch, says so', () => {
    const pinned = stateWith({ flags: immovable })
    expect(changed(upon(pinned, pin('legacy')), simple('unpin')).note).toBe('its flag decides now')
    expect(changed(upon(at10, pin('legacy'), { verb: 'kill' }), simple('unpin')).note).toMatch(/^the kill switch/)
  })
})

describe('rollback', () => {
  test('pins to legacy without end and sets the embedded flag to 0', () => {
    const { next, ...told } = changed(at10, rollback())
    expect(told).toEqual({
      kind: 'change',
      before: { pin: null, percentage: 10 },
      after: { pin: 'legacy', percentage: 0 },
      until: null,
      note: null,
    })
    expect(contextOf(next, 'catalog', NOON)).toMatchObject({
      pin: { side: 'legacy', until: null, by: 'anna', reason: 'launch' },
      flip: { percentage: 0, generation: 8 },
    })
    expect(percentageAmong(next.flags as EmbeddedFlags, FLAG).percentage).toBe(0)
    expect(percentageAmong(next.flags as EmbeddedFlags, 'other').percentage).toBe(5)
  })

  test('with an Unleash pins, and leaves the flags to whoever writes there', () => {
    const { next, before } = changed(stateWith({}), rollback(), inUnleash(40))
    expect(before).toEqual({ pin: null, percentage: 40 })
    expect(next.flags).toBeNull()
    expect(contextOf(next, 'catalog', NOON)).toMatchObject({ pin: { side: 'legacy' }, flip: { percentage: 0 } })
  })

  test('takes the place of a pin to the service', () => {
    const taken = changed(upon(at10, pin('service', LATER)), rollback())
    expect(taken.before).toEqual({ pin: { side: 'service', until: LATER }, percentage: 10 })
    expect(contextOf(taken.next, 'catalog', NOON).pin).toMatchObject({ side: 'legacy', until: null })
  })

  test('of a flag that no percentage moves holds by the pin, and says that it is the pin alone', () => {
    const state = stateWith({ flags: immovable })
    const taken = changed(state, rollback())
    expect(taken.after).toEqual({ pin: 'legacy', percentage: null })
    expect(taken.note).toContain('the pin holds it at legacy; its flag could not be set to 0')
    expect(taken.note).toContain('leave a single gradual rollout')
    expect(taken.next.flags).toBe(state.flags)
    expect(contextOf(taken.next, 'catalog', NOON).flip).toBeNull()
  })

  test('makes no flag that was not there', () => {
    const taken = changed(stateWith({ flags: flagsAt({ other: 5 }) }), rollback())
    expect(taken.next.flags?.features.map(({ name }) => name)).toEqual(['other'])
    expect(taken.note).toBeNull()
  })

  test('of what was rolled back keeps who did it first, and says so', () => {
    const state = upon(at10, rollback())
    expect(turn(state, rollback(), bybob(embedded))).toEqual({
      kind: 'unchanged',
      is: { pin: 'legacy', percentage: 0 },
      note: 'it is rolled back already: pinned to legacy by anna (launch) since 2026-01-01T12:00:00.000Z',
    })
    const { next } = changed(stateWith({}), rollback(), inUnleash(40))
    expect(turn(next, rollback(), bybob(inUnleash(40))).kind).toBe('unchanged')
    expect(turn(upon(stateWith({ flags: immovable }), rollback()), rollback(), embedded)).toMatchObject({
      kind: 'unchanged',
      is: { pin: 'legacy', percentage: null },
      note: expect.stringContaining('could not be set to 0'),
    })
  })

  test('is a change again where the flag was raised, or the pin has an end', () => {
    expect(changed(upon(at10, rollback(), flip(20)), rollback()).before).toEqual({
      pin: { side: 'legacy', until: null },
      percentage: 20,
    })
    expect(changed(upon(at10, flip(0), pin('legacy', LATER)), rollback()).after).toEqual({
      pin: 'legacy',
      percentage: 0,
    })
  })

  test('works while the context is frozen, and leaves it frozen', () => {
    const { next } = changed(upon(at10, simple('freeze')), rollback())
    expect(contextOf(next, 'catalog', NOON)).toMatchObject({ pin: { side: 'legacy' }, freeze: { by: 'anna' } })
  })

  test('of a context that is marked forward-only wants to be forced, and says why', () => {
    const forwardOnly = { ...embedded, context: contextNamed('catalog', { rollback: 'forward-only' }) }
    expect(refusal(at10, rollback(), forwardOnly)).toMatch(/forward-only.*legacy may not be able to read.*--force/)
    expect(changed(at10, rollback(true), forwardOnly).after).toEqual({ pin: 'legacy', percentage: 0 })
  })

  test('under the kill switch says that it outlives it', () => {
    expect(changed(upon(at10, { verb: 'kill' }), rollback()).note).toMatch(/^the kill switch is on/)
  })
})

describe('freeze and thaw', () => {
  const frozen = upon(at10, simple('freeze'))

  test.each([flip(20), pin('legacy'), simple('unpin')])(
    '$verb of a frozen context is refused, with who froze it',
    (command) => {
      expect(refusal(frozen, command, bybob(embedded))).toBe(
        '"catalog" is frozen by anna since 2026-01-01T12:00:00.000Z (launch): thaw it first; rollback and kill still work',
      )
      expect(refusal(frozen, command, bybob(inUnleash(10)))).toContain('is frozen')
    },
  )

  test('take effect once', () => {
    expect(contextOf(frozen, 'catalog', NOON).freeze).toEqual(embedded.stamp)
    expect(turn(frozen, simple('freeze'), bybob(embedded))).toEqual({
      kind: 'unchanged',
      is: 'frozen',
      note: 'it is frozen by anna since 2026-01-01T12:00:00.000Z (launch)',
    })
    const thawed = changed(frozen, simple('thaw'))
    expect(thawed).toMatchObject({ before: 'frozen', after: 'thawed' })
    expect(contextOf(thawed.next, 'catalog', NOON).freeze).toBeNull()
    expect(turn(thawed.next, simple('thaw'), embedded)).toMatchObject({ kind: 'unchanged', note: 'it was not frozen' })
  })

  test('freezing keeps what is pinned, and another context moves on', () => {
    const { next } = changed(upon(at10, pin('legacy')), simple('freeze'))
    expect(contextOf(next, 'catalog', NOON).pin).not.toBeNull()
    const orders = { ...embedded, context: contextNamed('orders') }
    expect(turn(next, { verb: 'flip', context: 'orders', percentage: 5 }, orders).kind).toBe('change')
  })
})

describe('kill and revive', () => {
  test('take effect once, and say who did it', () => {
    const killed = changed(at10, { verb: 'kill' }, noContext)
    expect(killed).toMatchObject({ before: false, after: true, until: null, note: null })
    expect(killed.next.kill).toEqual(embedded.stamp)
    expect(turn(killed.next, { verb: 'kill' }, bybob(noContext))).toEqual({
      kind: 'unchanged',
      is: true,
      note: 'the kill switch is on, by anna',
    })
    const revived = changed(killed.next, { verb: 'revive' }, noContext)
    expect(revived).toMatchObject({ before: true, after: false, note: null })
    expect(turn(revived.next, { verb: 'revive' }, noContext)).toMatchObject({ kind: 'unchanged', is: false })
  })

  test('leave everything else as it is', () => {
    const state = upon(at10, pin('service'), simple('freeze'))
    const { next } = changed(changed(state, { verb: 'kill' }, noContext).next, { verb: 'revive' }, noContext)
    const generation = state.generation + 2
    expect(next).toEqual({ ...state, generation, killChange: { ...embedded.stamp, verb: 'revive', generation } })
    expect(next.contexts).toBe(state.contexts)
  })
})

describe('any sequence of commands', () => {
  const contexts = {
    catalog,
    orders: contextNamed('orders', { rollback: 'forward-only' }),
    // Names that an object has already.
    constructor: contextNamed('constructor'),
  }
  const context = fc.constantFrom('catalog', 'orders')
  const difference = fc.constantFrom('a', 'b', '__proto__').map((fingerprint) => {
    return { fingerprint, route: 'GET /', field: 'value $.a' as const }
  })
  const command: fc.Arbitrary<Command> = fc.oneof(
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
  const step = fc.record({ command, passes: fc.nat(30), unleash: fc.option(fc.nat(100), { nil: undefined }) })

  test('keeps the generation, the other contexts and the freeze, and can be kept', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.boolean(), (steps, isEmbedded) => {
        let state: SharedState = stateWith({ flags: isEmbedded ? flagsAt({ [FLAG]: 10, 'orders-flag': 20 }) : null })
        let now = NOON
        for (const { command, passes, unleash } of steps) {
          now += passes
          const name = 'context' in command ? command.context : undefined
          const circumstances: Circumstances = {
            stamp: stampAt(now, 'anna'),
            context: name === undefined ? undefined : contexts[name as keyof typeof contexts],
            unleash: isEmbedded ? undefined : { percentage: unleash ?? null },
          }
          const taken = turn(deepFrozen(state), command, circumstances)
          expect(turn(state, command, circumstances)).toEqual(taken)
          if (taken.kind !== 'change') continue
          const { next } = taken
          expect(next.generation).toBe(state.generation + 1)
          for (const other of Object.keys(state.contexts))
            if (other !== name) expect(next.contexts[other]).toBe(state.contexts[other])
          if (name === undefined) expect(next.contexts).toBe(state.contexts)
          else {
            const [was, is] = [contextOf(state, name, now), contextOf(next, name, now)]
            expect(next.kill).toBe(state.kill)
            expect(is.changed).toEqual({ ...circumstances.stamp, verb: command.verb, generation: next.generation })
            const movesNobody = ['shadow', 'rule', 'resolve'].includes(command.verb)
            if (was.freeze !== null && !movesNobody) expect(['thaw', 'rollback']).toContain(command.verb)
            if (movesNobody) {
              expect(next.flags).toBe(state.flags)
              expect(is).toMatchObject({ pin: was.pin, freeze: was.freeze, flip: was.flip })
            } else expect([is.shadow, is.differences]).toEqual([was.shadow, was.differences])
            if (command.verb === 'rollback') expect(controlsOf(next, [], now + 1e9).pins.get(name)).toBe('legacy')
            if (is.flip !== was.flip && is.flip !== null && !['unpin', 'pin'].includes(command.verb))
              expect(is.flip.generation).toBe(next.generation)
          }
          if (!isEmbedded) expect(next.flags).toBeNull()
          expect(JSON.parse(serializeState(next))).toEqual(next)
          if (command.verb !== 'pin' && command.verb !== 'resolve' && (isEmbedded || command.verb !== 'flip'))
            expect(turn(next, command, circumstances).kind, `${command.verb} twice`).toBe('unchanged')
          state = next
        }
      }),
    )
  })

  test('of a name that every object has begins with nothing', () => {
    expect(contextOf(stateWith({}), 'constructor', NOON)).toBe(EMPTY_CONTEXT)
  })
})
