// Merges the counts of several gateways or periods. The operation is commutative and associative, and `NO_COUNTS` is its neutral
// element, so that a fleet can merge in any order. Limits apply where counts are recorded: a limit here would depend on the order.

import type { Field } from './comparison.ts'
import type { Counts, FieldCounts } from './comparison-counts.ts'

export function mergeCounts(left: Counts, right: Counts): Counts {
  return {
    matched: left.matched + right.matched,
    ignored: left.ignored + right.ignored,
    differing: add(left.differing, right.differing),
    uncomparable: add(left.uncomparable, right.uncomparable),
    shed: add(left.shed, right.shed),
    failed: add(left.failed, right.failed),
    pairs: left.pairs + right.pairs,
    fields: mergeFields(left.fields, right.fields),
    fieldsLeftOut: left.fieldsLeftOut + right.fieldsLeftOut,
  }
}

function add<K extends string>(
  left: Readonly<Partial<Record<K, number>>>,
  right: Readonly<Partial<Record<K, number>>>,
) {
  const sum = record<number>()
  for (const [key, count] of [...Object.entries(left), ...Object.entries(right)] as [K, number][]) {
    sum[key] = (sum[key] ?? 0) + count
  }
  return sum as Record<K, number>
}

function mergeFields(left: Readonly<Record<Field, FieldCounts>>, right: Readonly<Record<Field, FieldCounts>>) {
  const merged = record<FieldCounts>()
  for (const [field, counts] of [...Object.entries(left), ...Object.entries(right)]) {
    const earlier = merged[field]
    merged[field] = earlier === undefined ? counts : mergeField(earlier, counts)
  }
  return merged as Record<Field, FieldCounts>
}

function mergeField(left: FieldCounts, right: FieldCounts): FieldCounts {
  return {
    sides: left.sides + right.sides,
    self: left.self + right.self,
    firstSeen: Math.min(left.firstSeen, right.firstSeen),
    lastSeen: Math.max(left.lastSeen, right.lastSeen),
  }
}

/** No prototype: a path comes from a response body and may be `__proto__`. */
function record<T>(): Record<string, T> {
  return Object.create(null)
}
