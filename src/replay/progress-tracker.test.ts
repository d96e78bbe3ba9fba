import { describe, expect, it } from 'vitest'
import type { Comparison, Difference } from '../model/comparison.ts'
import type { ShadowPolicy } from '../model/shadow-policy.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { readComparisonPolicies } from './comparison-policies.ts'
import type { PreparedRequest } from './prepare-request.ts'
import { NO_PROGRESS, type Progress } from './progress.ts'
import { ProgressTracker } from './progress-tracker.ts'

const PREPARED = {
  ...{ context: { name: 'catalog' }, label: 'GET /a' },
  head: { method: 'GET', path: '/a', query: '?token=s3cret' },
} as unknown as PreparedRequest
const SHOW_ALL = { showOnly: undefined }

function track(saved: Progress = { ...NO_PROGRESS, startedAt: 1 }): ProgressTracker {
  return new ProgressTracker(saved, () => 7)
}

function differing(...paths: string[]): Comparison {
  const differences = paths.map((path): Difference => ({ kind: 'value', path, legacy: '1', service: '2', times: 1 }))
  return { kind: 'compared', differences, more: false, forgiven: 0 }
}

/** Each request differs in a field in which legacy differs from itself, and each third request in another field. */
function replay(tracker: ProgressTracker, first: number, last: number): void {
  for (let entry = first; entry <= last; entry++) {
    tracker.start(entry)
    const route = tracker.routeOf(PREPARED)
    route.recordStatus(200)
    const comparison = entry % 3 === 0 ? differing('$.at', '$.price') : differing('$.at')
    route.recordComparison(comparison, entry, PREPARED, SHOW_ALL)
    route.recordPair(differing('$.at'))
    tracker.end(entry)
  }
}

describe('the progress of a replay', () => {
  it('continues from a saved snapshot and reaches the same totals as one run', () => {
    const uninterrupted = track()
    replay(uninterrupted, 1, 100)
    const first = track()
    replay(first, 1, 40)
    const second = track(JSON.parse(JSON.stringify(first.snapshot())) as Progress)
    expect(second.through()).toBe(40)
    replay(second, 41, 100)
    expect(second.totals().accounting).toEqual(uninterrupted.totals().accounting)
    expect(second.totals().accounting).toMatchObject({ eligible: 100, mismatched: 33, noise: 67 })
    expect(second.snapshot().routes[0]!.examples).toEqual(uninterrupted.snapshot().routes[0]!.examples)
  })

  it('counts entries that were under way in the saved snapshot as interrupted, once', () => {
    const killed = track()
    killed.start(1)
    killed.start(2)
    killed.end(1)
    const second = track(killed.snapshot())
    expect(second.snapshot()).toMatchObject({ through: 2, underWay: [], interrupted: 1 })
    expect(track(second.snapshot()).snapshot().interrupted).toBe(1)
  })

  it('does not change a snapshot that another tracker continues', () => {
    const tracker = track()
    tracker.skip(1, 'unowned')
    const snapshot = tracker.snapshot()
    const text = JSON.stringify(snapshot)
    track(snapshot).skip(2, 'unowned')
    expect(JSON.stringify(snapshot)).toBe(text)
  })

  it('keeps in examples only values that the config shows, and masks the query of the request', () => {
    const policy = { compare: {}, showOnly: ['$.price'] } as unknown as ShadowPolicy
    const { redaction } = readComparisonPolicies({ routes: [{ shadow: policy }] } as unknown as Snapshot)(policy)
    const tracker = track()
    tracker.routeOf(PREPARED).recordComparison(differing('$.price', '$.name'), 1, PREPARED, redaction)
    expect(tracker.snapshot().routes[0]!.examples).toMatchObject([
      { field: 'value $.price', target: '/a?token=<not shown>', legacy: '1', service: '2' },
      { field: 'value $.name', legacy: '<not shown>', service: '<not shown>' },
    ])
  })
})
