// What shadowing does to those who are answered: the same rate with it and without, in turns.

import { fullLoad, pacedLoad } from '../load/load.ts'
import { CONNECTIONS, startPeer } from '../measure.ts'
import { type Origin, PATHS } from '../origin.ts'
import { threadsOf } from '../usage.ts'
import type { Workshop } from '../workshop.ts'
import { MODES, type Mode, shadowPeer, shadowTarget } from './modes.ts'

export type ShadowRound = {
  readonly p50Us: number
  readonly p99Us: number
  readonly mainCpuUsPerRequest: number
  readonly otherCpuUsPerRequest: number
  /** Answers other than 2xx and broken connections. */
  readonly failed: number
  /** Of those that were to be copied, the share that was compared, or asked in vain. */
  readonly share: { readonly compared: number; readonly failed: number; readonly shed: number }
}

export type ShadowPlan = { readonly rounds: number; readonly seconds: number; readonly warmUpSeconds: number }
export type ShadowResults = { readonly rate: number; readonly rounds: ReadonlyMap<Mode, readonly ShadowRound[]> }

export async function measureShadow(
  workshop: Workshop,
  origin: Origin,
  plan: ShadowPlan,
  say: (line: string) => void,
): Promise<ShadowResults> {
  const rate = Math.round((await peakOf(workshop, origin, plan)) / 2)
  const rounds = new Map<Mode, ShadowRound[]>(MODES.map((mode) => [mode, []]))
  for (let n = 0; n < plan.rounds; n++) {
    for (const mode of turned(n)) {
      const round = await measureMode(workshop, origin, mode, rate, plan)
      rounds.get(mode)!.push(round)
      say(
        `round ${n + 1} shadow ${mode.padEnd(8)} p50 ${(round.p50Us / 1000).toFixed(2)} ms, p99 ${(round.p99Us / 1000).toFixed(2)} ms, main ${round.mainCpuUsPerRequest.toFixed(1)} µs, others ${round.otherCpuUsPerRequest.toFixed(1)} µs, compared ${(round.share.compared * 100).toFixed(0)} %, shed ${(round.share.shed * 100).toFixed(0)} %`,
      )
    }
  }
  return { rate, rounds }
}

function turned(by: number): Mode[] {
  const start = by % MODES.length
  return [...MODES.slice(start), ...MODES.slice(0, start)]
}

export async function peakOf(
  workshop: Workshop,
  origin: Origin,
  { seconds, warmUpSeconds }: ShadowPlan,
): Promise<number> {
  const gateway = await startPeer(workshop, origin, shadowPeer('off', origin.ports.service))
  try {
    const url = gateway.baseUrl + PATHS.json
    await fullLoad(workshop, url, CONNECTIONS.json, warmUpSeconds)
    const load = await fullLoad(workshop, url, CONNECTIONS.json, seconds)
    return load.requests / load.seconds
  } finally {
    await gateway.stop()
  }
}

export async function measureMode(
  workshop: Workshop,
  origin: Origin,
  mode: Mode,
  rate: number,
  { seconds, warmUpSeconds }: ShadowPlan,
): Promise<ShadowRound> {
  const target = await shadowTarget(mode, origin.ports.service)
  const gateway = await startPeer(workshop, origin, shadowPeer(mode, target.port))
  try {
    const { pid } = gateway.running!
    const url = gateway.baseUrl + PATHS.json
    // As fast as it goes, as what is not compiled yet is not what is measured; then at the rate, until that is calm.
    await fullLoad(workshop, url, CONNECTIONS.json, warmUpSeconds)
    await pacedLoad(workshop, url, rate, 1)
    const before = threadsOf(pid)
    const load = await pacedLoad(workshop, url, rate, seconds)
    const after = threadsOf(pid)
    return {
      p50Us: load.p50Us,
      p99Us: load.p99Us,
      mainCpuUsPerRequest: ((after.mainMs - before.mainMs) * 1000) / load.requests,
      otherCpuUsPerRequest: ((after.othersMs - before.othersMs) * 1000) / load.requests,
      failed: load.notOk + load.socketErrors,
      share: await endings(gateway.metricsUrl as string),
    }
  } finally {
    await gateway.stop()
    target.close()
  }
}

async function endings(metricsUrl: string): Promise<ShadowRound['share']> {
  const text = await (await fetch(metricsUrl)).text()
  const sums = { compared: 0, failed: 0, shed: 0 }
  let all = 0
  for (const [, outcome, count] of text.matchAll(
    /^strangler_shadow_outcomes_total\{.*outcome="([a-z]+)".*\} (\d+)$/gm,
  )) {
    all += Number(count)
    sums[outcome === 'failed' || outcome === 'shed' ? outcome : 'compared'] += Number(count)
  }
  if (all === 0) return sums
  return { compared: sums.compared / all, failed: sums.failed / all, shed: sums.shed / all }
}
