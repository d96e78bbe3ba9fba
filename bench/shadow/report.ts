// The cost of shadowing, as tables and verdicts.
import { median, medianInterval } from '../stats.ts'
import { table } from '../table.ts'
import type { Pair, ShadowResults, ShadowRound, ShadowWindow } from './measure.ts'
import { MEANINGS, MODES, type Mode } from './modes.ts'
import { UPLOADS, type UploadResult } from './uploads.ts'

export type ShadowVerdict = {
  readonly what: string
  readonly limit: string
  readonly measured: number
  /** The 95 % confidence interval of the median. */
  readonly interval?: readonly [number, number]
  readonly isMet: boolean
}

const MOST = 1.1
const MOST_MAIN_CPU = 1.6
const MOST_GROWTH_MIB = 64

export function judgeShadow({ rounds }: ShadowResults, uploads: UploadResult): ShadowVerdict[] {
  const atMost = (what: string, most: number, measured: number): ShadowVerdict => {
    return { what, limit: `at most ${most}`, measured, isMet: measured <= most }
  }
  const ofOff = (mode: Mode, what: string, most: number, read: Reading): ShadowVerdict => {
    const ratios = pairsOf(rounds.get(mode)!).map(({ off, on }) => read(on) / read(off))
    return { ...atMost(`shadow ${mode}: ${what}, on / off`, most, median(ratios)), interval: medianInterval(ratios) }
  }
  const failed = MODES.flatMap((mode) => rounds.get(mode)!).reduce((sum, round) => sum + round.failed, 0)
  return [
    ofOff('well', 'p50', MOST, p50),
    ...MODES.map((mode) => ofOff(mode, 'p99', MOST, p99)),
    ofOff('well', 'CPU of the main thread', MOST_MAIN_CPU, main),
    atMost('failed requests, in all of them', 0, failed + uploads.failed),
    atMost(
      `memory growth in ${UPLOADS.count} uploads of ${UPLOADS.megabytes} MB, MiB`,
      MOST_GROWTH_MIB,
      uploads.grewMiB,
    ),
  ]
}

export function shadowReport(
  { rate, rounds }: ShadowResults,
  uploads: UploadResult,
  verdicts: readonly ShadowVerdict[],
): string {
  const allRounds = MODES.flatMap((mode) => rounds.get(mode)!)
  const pairs = pairsOf(allRounds).length
  const disturbed = allRounds.reduce((sum, round) => sum + round.disturbed, 0)
  return [
    `## Shadowing, at a fixed ${rate} requests/s (half the gateway's peak)`,
    `Every request eligible. Gateway and comparing thread share one processor; the load, both origins and what stands for the service share the other. ${pairs} pairs of windows, off beside on; ${disturbed} more were disturbed by other programs and are left out. ${uploads.seconds.toFixed(0)} s for the uploads.`,
    table(
      ['shadow', 'p50 ms', 'p99 ms', 'main µs/request', 'others µs/request', 'compared', 'shed', 'the service'],
      MODES.map((mode) => [mode, ...cells(rounds.get(mode)!), MEANINGS[mode]]),
    ),
    table(
      ['target', 'limit', 'measured', '95 % interval', 'verdict'],
      verdicts.map(({ what, limit, measured, interval, isMet }) => [
        what,
        limit,
        measured.toFixed(2),
        interval?.map((bound) => bound.toFixed(2)).join(' to ') ?? '',
        isMet ? 'PASS' : 'MISSED',
      ]),
    ),
  ].join('\n\n')
}

type Reading = (window: ShadowWindow) => number
const p50: Reading = ({ p50Us }) => p50Us
const p99: Reading = ({ p99Us }) => p99Us
const main: Reading = ({ mainUs }) => mainUs
const others: Reading = ({ othersUs }) => othersUs

function pairsOf(rounds: readonly ShadowRound[]): Pair[] {
  return rounds.flatMap(({ pairs }) => pairs)
}

function cells(rounds: readonly ShadowRound[]): string[] {
  const pairs = pairsOf(rounds)
  const offAndOn = (read: Reading, scale: number, digits: number) =>
    (['off', 'on'] as const)
      .map((state) => (median(pairs.map((pair) => read(pair[state]))) / scale).toFixed(digits))
      .join(' → ')
  const share = (which: keyof ShadowRound['share']) =>
    `${(median(rounds.map((round) => round.share[which])) * 100).toFixed(1)}%`
  return [
    offAndOn(p50, 1000, 3),
    offAndOn(p99, 1000, 3),
    offAndOn(main, 1, 1),
    offAndOn(others, 1, 1),
    share('compared'),
    share('shed'),
  ]
}
