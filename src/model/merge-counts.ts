// Counts of several gateways, or of several stretches of time, become one. Commutative and associative, with
// `NO_COUNTS` as the one that changes nothing: a fleet may add up in any order, and nothing is capped here, since what
// is left out would then depend on the order. Caps belong where things are counted.

import type { Field } from './comparison.ts'
import type { Counts, FieldCounts } from './comparison-counts.ts'

export function mergeCounts(one: Counts, other: Counts): Counts {
  return {
    matched: one.matched + other.matched,
    ignored: one.ignored + other.ignored,
    differing: add(one.differing, other.differing),
    uncomparable: add(one.uncomparable, other.uncomparable),
    shed: add(one.shed, other.shed),
    failed: add(one.failed, other.failed),
    pairs: one.pairs + other.pairs,
    fields: mergeFields(one.fields, other.fields),
    fieldsLeftOut: one.fieldsLeftOut + other.fieldsLeftOut,
  }
}

function add<K extends string>(one: Readonly<Partial<Record<K, number>>>, other: Readonly<Partial<Record<K, number>>>) {
  const sum = record<number>()
  for (const [key, count] of [...Object.entries(one), ...Object.entries(other)] as [K, number][]) {
    sum[key] = (sum[key] ?? 0) + count
  }
  return sum as Record<K, number>
}

function mergeFields(one: Readonly<Record<Field, FieldCounts>>, other: Readonly<Record<Field, FieldCounts>>) {
  const merged = record<FieldCounts>()
  for (const [field, counts] of [...Object.entries(one), ...Object.entries(other)]) {
    const known = merged[field]
    merged[field] = known === undefined ? counts : mergeField(known, counts)
  }
  return merged as Record<Field, FieldCounts>
}

function mergeField(one: FieldCounts, other: FieldCounts): FieldCounts {
  return {
    sides: one.sides + other.sides,
    self: one.self + other.self,
    firstSeen: Math.min(one.firstSeen, other.firstSeen),
    lastSeen: Math.max(one.lastSeen, other.lastSeen),
  }
}

/** No prototype: a path is whatever a body says, `__proto__` included. */
function record<T>(): Record<string, T> {
  return Object.create(null)
}
