import { describe, expect, test } from 'vitest'
import type { ChangeEvent } from '../../admin/contract/change-event.ts'
import { changesBetween } from './event-changes.ts'

type Context = ChangeEvent['contexts'][number]

const STAMP = { by: 'ada', reason: null, at: 1 }
const PIN = { ...STAMP, side: 'legacy', until: null } as const

function eventAt(generation: number, contexts: Context[] = [], more: Partial<ChangeEvent> = {}): ChangeEvent {
  return { generation, kill: null, contexts, changed: null, ...more }
}

function catalog(generation: number, more: Partial<Context> = {}): Context {
  return { name: 'catalog', generation, pin: null, freeze: null, flip: null, shadow: null, ...more }
}

function shadowAt(percentage: number) {
  return { shadow: { ...STAMP, percentage } }
}

function flipTo(percentage: number, generation: number) {
  return { ...STAMP, flag: 'f', percentage, generation }
}

function describeChanges(previous: ChangeEvent, current: ChangeEvent): string[] {
  return changesBetween(previous, current).map(
    ({ subject, change, stamp }) => `${subject}: ${change}${stamp ? ` by ${stamp.by}` : ''}`,
  )
}

describe('between two events', () => {
  const flipped = eventAt(2, [catalog(2, { flip: flipTo(25, 2) })])

  test.each<[string, ChangeEvent, ChangeEvent, string[]]>([
    ['a first flip', eventAt(1), flipped, ['catalog: → 25 % by ada']],
    ['a flip', flipped, eventAt(3, [catalog(3, { flip: flipTo(50, 3) })]), ['catalog: 25 % → 50 % by ada']],
    ['a pin', eventAt(1), eventAt(2, [catalog(2, { pin: PIN })]), ['catalog: pinned to legacy without end by ada']],
    [
      'the end of a pin, with the author of the change',
      eventAt(2, [catalog(2, { pin: PIN })]),
      eventAt(3, [catalog(3)], { changed: { ...STAMP, by: 'bob', context: 'catalog', verb: 'unpin' } }),
      ['catalog: no longer pinned to legacy by bob'],
    ],
    [
      'a pin that has expired, and a freeze after it',
      eventAt(2, [catalog(2, { pin: { ...PIN, until: 5 } })]),
      eventAt(3, [catalog(3, { freeze: STAMP })], { changed: { ...STAMP, context: 'catalog', verb: 'freeze' } }),
      ['catalog: no longer pinned to legacy by its end', 'catalog: frozen by ada'],
    ],
    ['a freeze', eventAt(1), eventAt(2, [catalog(2, { freeze: STAMP })]), ['catalog: frozen by ada']],
    ['a thaw', eventAt(2, [catalog(2, { freeze: STAMP })]), eventAt(3, [catalog(3)]), ['catalog: thawed']],
    [
      'a first shadow percentage',
      eventAt(1),
      eventAt(2, [catalog(2, shadowAt(10))]),
      ['catalog: shadowed at 10 % by ada'],
    ],
    [
      'another shadow percentage',
      eventAt(2, [catalog(2, shadowAt(10))]),
      eventAt(3, [catalog(3, shadowAt(0))]),
      ['catalog: shadowed at 10 % → 0 % by ada'],
    ],
    [
      'a shadow percentage that was removed, with the author of the change',
      eventAt(2, [catalog(2, shadowAt(10))]),
      eventAt(3, [catalog(3)], { changed: { ...STAMP, by: 'bob', context: 'catalog', verb: 'shadow' } }),
      ['catalog: shadowed as its config says by bob'],
    ],
    [
      'a ruling',
      eventAt(2, [catalog(2, shadowAt(10))]),
      eventAt(3, [catalog(3, shadowAt(10))], { changed: { ...STAMP, context: 'catalog', verb: 'rule' } }),
      ['catalog: a difference was ruled on by ada'],
    ],
    [
      'a resolution',
      eventAt(1),
      eventAt(2, [catalog(2)], { changed: { ...STAMP, context: 'catalog', verb: 'resolve' } }),
      ['catalog: a difference was resolved by ada'],
    ],
    ['the kill switch', eventAt(1), eventAt(2, [], { kill: STAMP }), ['everything: KILLED: all goes to legacy by ada']],
    [
      'the end of the kill switch',
      eventAt(2, [], { kill: STAMP }),
      eventAt(3),
      ['everything: revived: pins and flags decide'],
    ],
    [
      'a rollback, which sets a pin and a percentage',
      flipped,
      eventAt(3, [catalog(3, { pin: PIN, flip: flipTo(0, 3) })], {
        changed: { ...STAMP, context: 'catalog', verb: 'rollback' },
      }),
      ['catalog: rolled back: everything to legacy by ada'],
    ],
    [
      'several at once, after a lost connection',
      eventAt(1),
      eventAt(9, [catalog(5, { pin: PIN, flip: flipTo(25, 3) })], { kill: STAMP }),
      [
        'everything: KILLED: all goes to legacy by ada',
        'catalog: → 25 % by ada',
        'catalog: pinned to legacy without end by ada',
      ],
    ],
    ['a change outside of the gateway', flipped, { ...flipped, generation: 3 }, ['everything: generation 3']],
  ])('%s is described', (_what, previous, current, lines) => {
    expect(describeChanges(previous, current)).toEqual(lines)
  })
})
