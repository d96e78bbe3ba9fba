import { describe, expect, it } from 'vitest'
import { mergeCounts } from '../../model/merge-counts.ts'
import { parseRouteCounts } from '../comparison-shape.ts'
import { matched, routeCounts, STRANGE } from '../comparisons.test-kit.ts'
import { type Entries, entriesOf, nameOf } from '../counts-entries.ts'
import { folded } from './folded.ts'

describe('what several starts have said', () => {
  it('becomes one entry for each route, as mergeCounts makes it', () => {
    const other = matched(1, { route: 'GET /other' })
    const entries = entriesBy({ 'start-1': [routeCounts(), other], 'start-2': [matched(3)], 'start-3': [matched(4)] })
    const fewer = folded(entries, [])
    expect([...(fewer ?? [])].map(([name]) => name)).toEqual([nameOf(other, 'start-1'), nameOf(routeCounts(), '')])
    const sum = parseRouteCounts(fewer?.get(nameOf(routeCounts(), '')) ?? '')
    expect(sum).toEqual(routeCounts({ counts: mergeCounts(STRANGE, matched(7).counts) }))
  })

  it('is added to what was folded before', () => {
    const once = folded(entriesBy({ 'start-1': [matched(1)], 'start-2': [matched(2)] }), []) as Entries
    const twice = folded(new Map([...once, ...entriesBy({ 'start-3': [matched(4)] })]), [])
    expect([...(twice?.values() ?? [])].map(parseRouteCounts)).toEqual([matched(7)])
  })

  it('stays as it is where there is one for each route', () => {
    expect(folded(entriesBy({ 'start-1': [matched(1), matched(2, { route: 'GET /other' })] }), [])).toBeUndefined()
    expect(folded(new Map(), [])).toBeUndefined()
  })

  it('is not mixed with what the living say: they put another in its place', () => {
    const entries = entriesBy({ 'start-1': [matched(1)], 'start-2': [matched(2)], now: [matched(4)] })
    expect([...(folded(entries, ['now', 'other']) ?? [])].map(([name]) => name)).toEqual([
      nameOf(matched(4), 'now'),
      nameOf(matched(3), ''),
    ])
    expect(folded(entries, ['start-1', 'now'])).toBeUndefined()
  })

  it('is left where it cannot be understood', () => {
    const entries = entriesBy({ 'start-1': [matched(1)], 'start-2': [matched(2)] })
    entries.set(nameOf(matched(1), 'start-3'), '{"of":"a newer gateway"}')
    expect([...(folded(entries, []) ?? [])].map(([name]) => name)).toEqual([
      nameOf(matched(1), 'start-3'),
      nameOf(matched(1), ''),
    ])
  })
})

function entriesBy(given: Readonly<Record<string, Parameters<typeof entriesOf>[1]>>): Entries {
  return new Map(
    Object.entries(given).flatMap(([writer, counts]) =>
      [...entriesOf(writer, counts).values()].flatMap((entries) => [...entries]),
    ),
  )
}
