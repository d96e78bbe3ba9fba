import { expect, it } from 'vitest'
import type { Comparison, Difference } from '../model/comparison.ts'
import type { ShadowPolicy } from '../model/shadow-policy.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { readComparisonPolicies } from './comparison-policies.ts'
import type { Prepared } from './prepare-request.ts'
import { createTally, NO_PROGRESS, type Progress, type Tally } from './progress.ts'

const NOTHING: Progress = { ...NO_PROGRESS, startedAt: 1 }
const PREPARED = {
  ...{ context: { name: 'catalog' }, label: 'GET /a' },
  head: { method: 'GET', path: '/a', query: '?token=s3cret' },
} as unknown as Prepared
const ALL = { showOnly: undefined }

function differing(...paths: string[]): Comparison {
  const differences = paths.map((path): Difference => ({ kind: 'value', path, legacy: '1', service: '2', times: 1 }))
  return { kind: 'compared', differences, more: false, forgiven: 0 }
}

/** Each request differs in one place, in which legacy differs from itself too; and now and then in another. */
function replay(tally: Tally, from: number, to: number): void {
  for (let at = from; at <= to; at++) {
    tally.begin(at)
    const of = tally.of(PREPARED)
    of.answered(200)
    of.compared(at % 3 === 0 ? differing('$.at', '$.price') : differing('$.at'), at, PREPARED, ALL)
    of.paired(differing('$.at'))
    tally.end(at)
  }
}

it('goes on where it was written down, and comes to the same', () => {
  const whole = createTally(NOTHING, () => 7)
  replay(whole, 1, 100)
  const first = createTally(NOTHING, () => 7)
  replay(first, 1, 40)
  const second = createTally(JSON.parse(JSON.stringify(first.progress())) as Progress, () => 7)
  expect(second.through()).toBe(40)
  replay(second, 41, 100)
  expect(second.sum().accounting).toEqual(whole.sum().accounting)
  expect(second.sum().accounting).toMatchObject({ eligible: 100, mismatched: 33, noise: 67 })
  expect(second.progress().routes[0]!.examples).toEqual(whole.progress().routes[0]!.examples)
})

it('counts as interrupted what was under way when it was written down, once', () => {
  const killed = createTally(NOTHING, () => 7)
  killed.begin(1)
  killed.begin(2)
  killed.end(1)
  const again = createTally(killed.progress(), () => 7)
  expect(again.progress()).toMatchObject({ through: 2, underWay: [], interrupted: 1 })
  expect(createTally(again.progress(), () => 7).progress().interrupted).toBe(1)
})

it('does not change what it has given away', () => {
  const tally = createTally(NOTHING, () => 7)
  tally.skip(1, 'unowned')
  const before = tally.progress()
  const text = JSON.stringify(before)
  createTally(before, () => 7).skip(2, 'unowned')
  expect(JSON.stringify(before)).toBe(text)
})

it('keeps of an example what the config lets it show, and no secret of the request', () => {
  const policy = { compare: {}, showOnly: ['$.price'] } as unknown as ShadowPolicy
  const { redaction } = readComparisonPolicies({ routes: [{ shadow: policy }] } as unknown as Snapshot)(policy)
  const tally = createTally(NOTHING, () => 7)
  tally.of(PREPARED).compared(differing('$.price', '$.name'), 1, PREPARED, redaction)
  expect(tally.progress().routes[0]!.examples).toMatchObject([
    { field: 'value $.price', target: '/a?token=<not shown>', legacy: '1', service: '2' },
    { field: 'value $.name', legacy: '<not shown>', service: '<not shown>' },
  ])
})
