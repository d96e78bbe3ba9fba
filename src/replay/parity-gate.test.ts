import { expect, it } from 'vitest'
import type { Accounting } from '../model/comparison-counts.ts'
import { judgeGate } from './parity-gate.ts'

function accounting(more: Partial<Accounting>): Accounting {
  const nothing = { eligible: 0, matched: 0, mismatched: 0, noise: 0, inconclusive: 0, ignored: 0, uncomparable: 0 }
  return { ...nothing, shed: 0, failed: 0, ...more }
}

it.each([
  ['nothing was compared', {}, 0, { isPassed: false, isSure: false, share: undefined }],
  ['few match', { matched: 10 }, 0, { isPassed: true, isSure: false, share: 1 }],
  ['enough match', { matched: 5000, noise: 10, ignored: 10 }, 0, { isPassed: true, isSure: true, untilSure: 0 }],
  ['one in a hundred does not match', { matched: 99, mismatched: 1 }, 0, { isPassed: false, share: 0.99 }],
  ['a tenth is inconclusive', { matched: 90, inconclusive: 10 }, 0, { isPassed: false, share: 0.9 }],
  ['the service does not answer a tenth', { matched: 90, failed: 10 }, 10, { isPassed: false, share: 0.9 }],
  ['legacy does not answer a tenth', { matched: 90, failed: 10 }, 0, { isPassed: true, share: 1 }],
])('the gate judges a run in which %s', (_, counts, unanswered, expected) => {
  expect(judgeGate(accounting(counts), unanswered, 0.999)).toMatchObject(expected)
})
