// The targets of the gateway, relative to peers in the same run.
import { addedLatencyUs, type Medians, mediansOf, type Results } from './results.ts'

type Target = {
  readonly what: string
  readonly limit: { readonly atMost: number } | { readonly atLeast: number } | { readonly below: number }
  readonly measured: (results: Results) => number | undefined
}

export type Verdict = { readonly target: Target; readonly measured: number | undefined; readonly word: VerdictWord }
type VerdictWord = 'PASS' | 'MISSED' | 'NOT MEASURED'

const cpu = (medians: Medians) => medians.cost?.cpuUsPerRequest

export const TARGETS: readonly Target[] = [
  {
    what: 'CPU per request / Express with http-proxy-middleware',
    limit: { atMost: 0.6 },
    measured: (results) => ratioTo('express', cpu, results),
  },
  { what: 'CPU per request / Caddy', limit: { atMost: 0.85 }, measured: (results) => ratioTo('caddy', cpu, results) },
  { what: 'CPU per request / nginx', limit: { atMost: 3.3 }, measured: (results) => ratioTo('nginx', cpu, results) },
  {
    what: '1 MiB download throughput / nginx',
    limit: { atLeast: 0.6 },
    measured: (results) => ratioTo('nginx', (medians) => medians.downloadMiBps, results),
  },
  {
    what: 'added median latency at a tenth of peak, ms',
    limit: { below: 0.5 },
    measured: (results) => {
      const addedUs = addedLatencyUs(results, 'strangler')
      return addedUs === undefined ? undefined : addedUs / 1000
    },
  },
]

export function judge(results: Results): Verdict[] {
  return TARGETS.map((target) => {
    const measured = target.measured(results)
    return { target, measured, word: measured === undefined ? 'NOT MEASURED' : wordFor(target.limit, measured) }
  })
}

export function limitText(limit: Target['limit']): string {
  if ('atMost' in limit) return `at most ${limit.atMost}`
  return 'atLeast' in limit ? `at least ${limit.atLeast}` : `below ${limit.below}`
}

function wordFor(limit: Target['limit'], measured: number): VerdictWord {
  if ('atMost' in limit) return measured <= limit.atMost ? 'PASS' : 'MISSED'
  if ('atLeast' in limit) return measured >= limit.atLeast ? 'PASS' : 'MISSED'
  return measured < limit.below ? 'PASS' : 'MISSED'
}

export function ratioTo(
  peer: string,
  read: (medians: Medians) => number | undefined,
  results: Results,
): number | undefined {
  const [gateway, other] = [results.get('strangler'), results.get(peer)]
  if (!gateway || !other) return undefined
  const [ours, theirs] = [read(mediansOf(gateway)), read(mediansOf(other))]
  return ours === undefined || theirs === undefined ? undefined : ours / theirs
}
