import { describe, expect, it } from 'vitest'
import { mergeCounts } from '../../model/merge-counts.ts'
import { parseRouteCounts } from '../comparison-schema.ts'
import { matched, routeCounts, STRANGE } from '../comparisons.test-kit.ts'
import { createEntries, type Entries, formatEntryName } from '../counts-entries.ts'
import { foldEntries } from './fold-entries.ts'

describe('foldEntries', () => {
  it('merges the entries of stopped writers into one entry for each route', () => {
    const other = matched(1, { route: 'GET /other' })
    const entries = entriesBy({ 'start-1': [routeCounts(), other], 'start-2': [matched(3)], 'start-3': [matched(4)] })
    const fewer = foldEntries(entries, [])
    expect([...(fewer ?? [])].map(([name]) => name)).toEqual([
      formatEntryName(other, 'start-1'),
      formatEntryName(routeCounts(), ''),
    ])
    const sum = parseRouteCounts(fewer?.get(formatEntryName(routeCounts(), '')) ?? '')
    expect(sum).toEqual(routeCounts({ counts: mergeCounts(STRANGE, matched(7).counts) }))
  })

  it('adds further entries to a merged entry', () => {
    const once = foldEntries(entriesBy({ 'start-1': [matched(1)], 'start-2': [matched(2)] }), []) as Entries
    const twice = foldEntries(new Map([...once, ...entriesBy({ 'start-3': [matched(4)] })]), [])
    expect([...(twice?.values() ?? [])].map(parseRouteCounts)).toEqual([matched(7)])
  })

  it('changes nothing if there is only one entry for each route', () => {
    expect(foldEntries(entriesBy({ 'start-1': [matched(1), matched(2, { route: 'GET /other' })] }), [])).toBeUndefined()
    expect(foldEntries(new Map(), [])).toBeUndefined()
  })

  it('does not merge the entries of active writers, which they can still replace', () => {
    const entries = entriesBy({ 'start-1': [matched(1)], 'start-2': [matched(2)], now: [matched(4)] })
    expect([...(foldEntries(entries, ['now', 'other']) ?? [])].map(([name]) => name)).toEqual([
      formatEntryName(matched(4), 'now'),
      formatEntryName(matched(3), ''),
    ])
    expect(foldEntries(entries, ['start-1', 'now'])).toBeUndefined()
  })

  it('does not change an entry that cannot be parsed', () => {
    const entries = entriesBy({ 'start-1': [matched(1)], 'start-2': [matched(2)] })
    entries.set(formatEntryName(matched(1), 'start-3'), '{"of":"a newer gateway"}')
    expect([...(foldEntries(entries, []) ?? [])].map(([name]) => name)).toEqual([
      formatEntryName(matched(1), 'start-3'),
      formatEntryName(matched(1), ''),
    ])
  })
})

function entriesBy(given: Readonly<Record<string, Parameters<typeof createEntries>[1]>>): Entries {
  return new Map(
    Object.entries(given).flatMap(([writer, counts]) =>
      [...createEntries(writer, counts).values()].flatMap((entries) => [...entries]),
    ),
  )
}
