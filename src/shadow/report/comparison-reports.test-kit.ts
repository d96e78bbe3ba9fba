// Handmade counts, examples and notes, in a store in memory.

import { type Field, type Masked, splitField } from '../../model/comparison.ts'
import {
  COUNT_PERIOD_MS,
  type Counts,
  type FieldCounts,
  NO_COUNTS,
  type RouteCounts,
} from '../../model/comparison-counts.ts'
import type { Example, StoredExample } from '../../model/comparison-example.ts'
import type { ComparisonStore } from '../../model/comparison-store.ts'
import { type DifferenceNote, EMPTY_CONTEXT, EMPTY_STATE, type SharedState } from '../../model/shared-state.ts'
import { fingerprintOf } from '../stats/fingerprint.ts'
import { ComparisonReports, type ComparisonReportsOptions } from './comparison-reports.ts'

export const HOUR = COUNT_PERIOD_MS
/** 14:30 UTC. */
export const NOW = Date.UTC(2026, 2, 1, 14, 30)
export const THIS_HOUR = NOW - HOUR / 2
export const ROUTE = 'GET /products'
export const PRICE: Field = 'value $.items[*].price'
export const STAMP: Field = 'value $.generatedAt'

export function countsOf(more: Partial<Counts> = {}, of: Partial<RouteCounts> = {}): RouteCounts {
  return { context: 'catalog', route: ROUTE, start: THIS_HOUR, ...of, counts: { ...NO_COUNTS, ...more } }
}

export function seen(sides: number, self = 0, firstSeen = THIS_HOUR, lastSeen = NOW): FieldCounts {
  return { sides, self, firstSeen, lastSeen }
}

/** Counts of a route with a wrong price and a timestamp that always differs. */
export const FAULTY = countsOf({
  matched: 900,
  ignored: 10,
  pairs: 1000,
  differing: { [PRICE]: 60, '': 30 },
  fields: { [PRICE]: seen(60), [STAMP]: seen(1000, 1000) },
  uncomparable: { streaming: 2 },
  shed: { lag: 3 },
  failed: { unavailable: 5 },
})

export function masked(text: string): Masked {
  return text as Masked
}

export function exampleOf(more: Partial<Example> = {}): Example {
  const answer = (price: string) => ({
    status: 200,
    headers: ['Content-Type', 'application/json'].map(masked),
    body: masked(`{"items":[{"price":${price}}],"tags":["a","b"]}`),
    ms: 12,
  })
  return {
    at: NOW,
    request: { method: 'GET', target: masked('/products?page=2'), headers: ['Accept', 'application/json'].map(masked) },
    answeredBy: 'legacy',
    legacy: answer('10.00'),
    service: answer('10.01'),
    differences: [
      { kind: 'value', path: '$.items[*].price', legacy: masked('10.00'), service: masked('10.01'), times: 1 },
    ],
    ...more,
  }
}

export function storedExampleOf(field: Field = PRICE, more: Partial<Example> = {}, route = ROUTE): StoredExample {
  const fingerprint = fingerprintOf('catalog', route, field)
  const { kind, path } = splitField(field)
  const differences = [{ kind, path, legacy: masked('one'), service: masked('other'), times: 1 }]
  const example = exampleOf({ ...(field === PRICE ? {} : { differences }), ...more })
  return { fingerprint, context: 'catalog', route, field, example }
}

/** The state with the note of an operator on one difference. */
export function stateWith(field: Field, note: Partial<DifferenceNote>): SharedState {
  const defaults = { by: 'ada', reason: 'why', at: NOW, route: ROUTE, field, ruling: null, resolvedAt: null }
  const differences = { [fingerprintOf('catalog', ROUTE, field)]: { ...defaults, ...note } }
  return { ...EMPTY_STATE, contexts: { catalog: { ...EMPTY_CONTEXT, differences } } }
}

type StoredComparisons = { readonly counts?: readonly RouteCounts[]; readonly examples?: readonly StoredExample[] }

function storeOf({ counts = [], examples = [] }: StoredComparisons): Pick<ComparisonStore, 'counts' | 'examples'> {
  return {
    counts: async ({ context, from }) =>
      counts.filter((hour) => hour.start >= from && (context === undefined || hour.context === context)),
    examples: async ({ context, fingerprint }) =>
      examples
        .filter((stored) => context === undefined || stored.context === context)
        .filter((stored) => fingerprint === undefined || stored.fingerprint === fingerprint),
  }
}

export function reportsOn(comparisons: StoredComparisons, more: Partial<ComparisonReportsOptions> = {}) {
  return new ComparisonReports({
    store: storeOf(comparisons),
    state: () => EMPTY_STATE,
    contexts: () => ['catalog', 'orders'],
    wallTime: () => NOW,
    sidesOf: (_context, { target }) => ({
      legacy: { url: 'http://127.0.0.1:3000', target },
      service: { url: 'http://127.0.0.1:3001', target },
    }),
    ...more,
  })
}
