import { expect, test } from 'vitest'
import { NOON } from '../../lib/manual-clock.test-kit.ts'
import type { FleetMember } from '../../model/fleet.ts'
import { EMPTY_CONTEXT, type Flip } from '../../model/shared-state.ts'
import { stampAt, stateWith } from '../control.test-kit.ts'
import { expectedPercentages, percentageLag, SETTLED_MS } from './expected-percentages.ts'

const NOW = NOON + 3_600_000

function memberAt(percentage: number | null, ageMs: number | null, more: Partial<FleetMember> = {}): FleetMember {
  return {
    id: `gateway at ${percentage}`,
    version: '1',
    address: 'http://10.0.0.7:8081',
    startedAt: NOON,
    applied: 5,
    percentages: { catalog: percentage },
    flags: { source: 'unleash', stale: ageMs === null, ageMs },
    localKill: [],
    inFlight: {},
    lastMinute: {},
    silentMs: 0,
    ...more,
  }
}

function stateAt(percentage: number | null, more: Partial<Flip> = {}) {
  const flip =
    percentage === null ? null : { ...stampAt(NOON), flag: 'catalog-flag', percentage, generation: 5, ...more }
  return stateWith({ generation: 5, contexts: { catalog: { ...EMPTY_CONTEXT, flip } } })
}

const FRESH_MS = 1000
/** The age of flags that were read before the flip on record, an hour ago. */
const BEFORE_THE_FLIP_MS = 7_200_000

test.each<[string, ReturnType<typeof stateAt>, FleetMember[], number | null | undefined]>([
  ['the flip on record', stateAt(10), [memberAt(94, BEFORE_THE_FLIP_MS), memberAt(10, FRESH_MS)], 10],
  [
    'the flip on record, while no gateway has read its flags since',
    stateAt(10),
    [memberAt(94, BEFORE_THE_FLIP_MS)],
    10,
  ],
  [
    'the flip on record, while its effect in Unleash settles',
    stateAt(10, { at: NOW - SETTLED_MS }),
    [memberAt(94, FRESH_MS)],
    10,
  ],
  [
    'the freshest value, once Unleash was changed outside after the flip',
    stateAt(10),
    [memberAt(10, 60_000), memberAt(40, FRESH_MS)],
    40,
  ],
  ['the freshest value, where no flip is on record', stateAt(null), [memberAt(10, 60_000), memberAt(40, FRESH_MS)], 40],
  [
    'the freshest value, while the 0 of a rollback is not written',
    stateAt(0, { byRollback: true }),
    [memberAt(40, FRESH_MS)],
    40,
  ],
  [
    'not the value of a silent gateway',
    stateAt(null),
    [memberAt(10, 60_000), memberAt(40, FRESH_MS, { silentMs: 12_000 })],
    10,
  ],
  ['nothing, where no gateway has flags', stateAt(null), [memberAt(null, null)], undefined],
  ['no single percentage, where the freshest gateway has none', stateAt(null), [memberAt(null, FRESH_MS)], null],
])('each gateway is expected to have %s', (_, state, members, percentage) => {
  expect(expectedPercentages(state, members, NOW).get('catalog')).toBe(percentage)
})

test.each<[string, FleetMember, string | undefined]>([
  ['the expected percentage', memberAt(10, FRESH_MS), undefined],
  ['another one', memberAt(94, 312_000), 'still at 94 % instead of 10 % for catalog, from flags read 312 s ago'],
  [
    'no single percentage',
    memberAt(null, FRESH_MS),
    'at no single percentage instead of 10 % for catalog, from flags read 1 s ago',
  ],
  ['no flags', memberAt(null, null), 'has never read its flags'],
  ['a map without the context', memberAt(10, FRESH_MS, { percentages: {} }), undefined],
])('a gateway with %s lags: %s', (_, member, why) => {
  expect(percentageLag(member, new Map([['catalog', 10]]))).toBe(why)
})
