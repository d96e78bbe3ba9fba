// What shadowing cost, as tables and verdicts.
import { median } from '../stats.ts'
import { table } from '../table.ts'
import type { ShadowResults, ShadowRound } from './measure.ts'
import { MEANINGS, MODES, type Mode } from './modes.ts'
import { UPLOADS, type UploadResult } from './uploads.ts'

export type ShadowVerdict = {
  readonly what: string
  readonly limit: string
  readonly measured: number
  readonly isMet: boolean
}

const MOST = 1.1
const MOST_MAIN_CPU = 1.6
const MOST_GROWTH_MIB = 64

export function judgeShadow(results: ShadowResults, uploads: UploadResult): ShadowVerdict[] {
  const atMost = (what: string, limit: number, measured: number): ShadowVerdict => {
    return { what, limit: `at most ${limit}`, measured, isMet: measured <= limit }
  }
  const ofOff = (mode: Mode, read: (round: ShadowRound) => number) => ratioToOff(results, mode, read)
  const failed = MODES.map((mode) => results.rounds.get(mode)!.reduce((sum, round) => sum + round.failed, 0))
  return [
    atMost('shadow on: p50 / off', MOST, ofOff('on', p50)),
    atMost('shadow on: p99 / off', MOST, ofOff('on', p99)),
    atMost('shadow on: CPU of the main thread / off', MOST_MAIN_CPU, ofOff('on', main)),
    ...(['dead', 'hanging', 'slow'] as const).map((mode) =>
      atMost(`shadow ${mode}: p99 / off`, MOST, ofOff(mode, p99)),
    ),
    atMost('failed requests, in all of them', 0, failed.reduce((sum, count) => sum + count, 0) + uploads.failed),
    atMost(
      `memory growth in ${UPLOADS.count} uploads of ${UPLOADS.megabytes} MB, MiB`,
      MOST_GROWTH_MIB,
      uploads.grewMiB,
    ),
  ]
}

export function shadowReport(
  results: ShadowResults,
  uploads: UploadResult,
  verdicts: readonly ShadowVerdict[],
): string {
  return [
    `## Shadowing, at a fixed ${results.rate} requests/s (half the gateway's peak)`,
    `Every request eligible. Gateway and comparing thread share one processor; the load, both origins and what stands for the service share the other. ${uploads.seconds.toFixed(0)} s for the uploads.`,
    table(
      ['shadow', 'p50 ms', 'p99 ms', 'main µs/request', 'others µs/request', 'compared', 'shed', 'what it is'],
      MODES.map((mode) => [mode, ...cells(results.rounds.get(mode)!), MEANINGS[mode]]),
    ),
    table(
      ['target', 'limit', 'measured', 'verdict'],
      verdicts.map(({ what, limit, measured, isMet }) => [what, limit, measured.toFixed(2), isMet ? 'PASS' : 'MISSED']),
    ),
  ].join('\n\n')
}

const p50 = ({ p50Us }: ShadowRound) => p50Us
const p99 = ({ p99Us }: ShadowRound) => p99Us
const main = ({ mainCpuUsPerRequest }: ShadowRound) => mainCpuUsPerRequest

/** Each round with the round without shadow beside it, and of these the median. */
function ratioToOff({ rounds }: ShadowResults, mode: Mode, read: (round: ShadowRound) => number): number {
  const off = rounds.get('off')!
  return median(rounds.get(mode)!.map((round, n) => read(round) / read(off[n]!)))
}

function cells(rounds: readonly ShadowRound[]): string[] {
  const of = (read: (round: ShadowRound) => number) => median(rounds.map(read))
  return [
    (of(p50) / 1000).toFixed(3),
    (of(p99) / 1000).toFixed(3),
    of(main).toFixed(1),
    of((round) => round.otherCpuUsPerRequest).toFixed(1),
    percent(of((round) => round.share.compared)),
    percent(of((round) => round.share.shed)),
  ]
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`
}
