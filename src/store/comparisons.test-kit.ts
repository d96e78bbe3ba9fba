// Counts and examples for the tests of the stores.

import type { Masked } from '../model/comparison.ts'
import { COUNT_PERIOD_MS, type Counts, NO_COUNTS, type RouteCounts } from '../model/comparison-counts.ts'
import type { StoredExample } from '../model/comparison-example.ts'

/** The same period during a whole test, even if the next one begins meanwhile. */
const NOW = Date.now()

/** The start of a period. @param ago how many periods before the current one */
export function stretch(ago = 0): number {
  return (Math.floor(NOW / COUNT_PERIOD_MS) - ago) * COUNT_PERIOD_MS
}

/** Counts with names that a client or a response body chose. */
export const STRANGE: Counts = {
  ...NO_COUNTS,
  matched: 7,
  differing: names([
    ['', 1],
    ['*', 2],
    ['__proto__', 3],
    ['constructor', 4],
    ['value $.a\u0000null $.b', 5],
    ['value "\n\t', 6],
  ]),
  uncomparable: { bomb: 1 },
  shed: { 'in-flight': 2 },
  failed: { primary: 3, 'not-dry-run': 4, internal: 5 },
  pairs: 8,
  fields: names([
    ['value __proto__', seen(1)],
    ['missing $.__proto__.x', seen(2)],
    ['type $.lines\n,"w"]', seen(3)],
  ]),
  fieldsLeftOut: 9,
}

export function routeCounts(of: Partial<RouteCounts> = {}): RouteCounts {
  return { context: 'catalog', route: 'GET /products/:id', start: stretch(), counts: STRANGE, ...of }
}

export function storedExample(of: Partial<StoredExample> = {}, time = Date.now()): StoredExample {
  const answer = {
    status: 200,
    headers: ['content-type', 'text/html'].map(mask),
    body: mask('{"a":"‹text›"}'),
    ms: 1.5,
  }
  return {
    fingerprint: 'f1',
    context: 'catalog',
    route: 'GET /products/:id',
    field: 'value $.a',
    example: {
      at: time,
      request: { method: 'GET', target: mask('/products/‹7›'), headers: [] },
      answeredBy: 'legacy',
      legacy: answer,
      service: { ...answer, body: null },
      differences: [{ kind: 'value', path: '$.a', legacy: mask('a'), service: null, times: 2 }],
    },
    ...of,
  }
}

export function mask(text: string): Masked {
  return text as Masked
}

function seen(times: number) {
  return { sides: times, self: 0, firstSeen: 1000, lastSeen: 2000 + times }
}

function names<K extends string, V>(entries: readonly (readonly [K, V])[]): Record<K, V> {
  return Object.assign(Object.create(null), Object.fromEntries(entries))
}

export function matched(times: number, of: Partial<RouteCounts> = {}): RouteCounts {
  return routeCounts({ counts: { ...NO_COUNTS, matched: times }, ...of })
}
