// The cost of judging counts: `judgeFields` on a route with many fields, all of which differ sometimes.

import type { Field } from '../../src/model/comparison.ts'
import { type Counts, type FieldCounts, NO_COUNTS } from '../../src/model/comparison-counts.ts'
import { judgeFields } from '../../src/shadow/stats/noise.ts'
import { median } from '../stats.ts'
import { seeded, whole } from './random.ts'

export type JudgingCost = { readonly fields: number; readonly comparisons: number; readonly ms: number }

export function judgingCosts(): JudgingCost[] {
  return [50, 500].flatMap((fields) =>
    [3000, 1_000_000].map((comparisons) => ({ fields, comparisons, ms: costOf(fields, comparisons) })),
  )
}

function costOf(fields: number, comparisons: number): number {
  const counts = countsOf(fields, comparisons)
  const rounds = Array.from({ length: ROUNDS }, () => {
    const startedAt = performance.now()
    judgeFields(counts)
    return performance.now() - startedAt
  })
  return median(rounds.slice(WARM_UP))
}

/** Fields that differ in one of a thousand to all comparisons; one in ten differs more often between the sides. */
export function countsOf(fields: number, comparisons: number): Counts {
  const random = seeded(fields, comparisons)
  const pairs = Math.min(20_000, comparisons / 2)
  const near = (hits: number, most: number) => Math.min(most, Math.round(hits + (random() - 0.5) * Math.sqrt(hits)))
  const counted = Array.from({ length: fields }, (_, i): [Field, FieldCounts] => {
    const rate = 10 ** (-3 * random())
    const worse = i % 10 === 0 ? 1 + whole(random, 3) : 1
    const sides = near(Math.min(1, rate * worse) * comparisons, comparisons)
    return [`value $.field${i}`, { sides, self: near(rate * pairs, pairs), firstSeen: 0, lastSeen: 0 }]
  })
  return { ...NO_COUNTS, differing: { '*': comparisons }, pairs, fields: Object.fromEntries(counted) }
}

const ROUNDS = 30
const WARM_UP = 10
