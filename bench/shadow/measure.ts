// Measures how shadowing affects the latency of clients: under a load at a fixed rate, shadowing is switched on and off repeatedly,
// and each window with shadowing is compared with a neighbouring window without.
import { setTimeout as pause } from 'node:timers/promises'
import { fullLoad, type PacedWindow, type Windows, windowedLoad } from '../load/load.ts'
import { CONNECTIONS, startPeer } from '../measure.ts'
import { type Origin, PATHS } from '../origin.ts'
import { median } from '../stats.ts'
import { processorBusyMs, threadsOf } from '../usage.ts'
import { PROCESSORS, type Workshop } from '../workshop.ts'
import { MODES, type Mode, shadowPeer, shadowTarget } from './modes.ts'
import { createSwitch } from './switch.ts'

/** One window. */
export type ShadowWindow = PacedWindow & {
  /** Microseconds of a processor for each request, in the gateway's own thread and in its others. */
  readonly mainUs: number
  readonly othersUs: number
  /** Share of the gateway's processor that anything else took. */
  readonly disturbance: number
}
/** Two windows, one after the other. */
export type Pair = { readonly off: ShadowWindow; readonly on: ShadowWindow }

export type ShadowRound = {
  readonly pairs: readonly Pair[]
  /** Pairs that other programs on the machine have disturbed. */
  readonly disturbed: number
  /** Answers other than 2xx and broken connections. */
  readonly failed: number
  /** The shares of eligible requests that were compared, failed or were shed. */
  readonly share: { readonly compared: number; readonly failed: number; readonly shed: number }
}

export type ShadowPlan = { readonly rounds: number; readonly seconds: number; readonly warmUpSeconds: number }
export type ShadowResults = { readonly rate: number; readonly rounds: ReadonlyMap<Mode, readonly ShadowRound[]> }

const WINDOW_MS = 500
/** The first windows at a rate are not compared. */
const WARM_UP_WINDOWS = 4
/** The gateway uses three quarters of its processor, so that other work, such as that of the kernel, soon affects it. */
const MOST_DISTURBANCE = 0.1
/** The time to switch shadowing, and for copies in flight to end. */
const UNMEASURED_MS = 150

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
      say(progress(n, mode, round))
    }
  }
  return { rate, rounds }
}

function turned(by: number): Mode[] {
  const start = by % MODES.length
  return [...MODES.slice(start), ...MODES.slice(0, start)]
}

async function peakOf(workshop: Workshop, origin: Origin, { seconds, warmUpSeconds }: ShadowPlan): Promise<number> {
  const gateway = await startPeer(workshop, origin, shadowPeer('well', origin.ports.service))
  try {
    const url = gateway.baseUrl + PATHS.json
    await createSwitch(gateway.metricsUrl as string).turn('off')
    await fullLoad(workshop, url, CONNECTIONS.json, warmUpSeconds)
    const load = await fullLoad(workshop, url, CONNECTIONS.json, seconds)
    return load.requests / load.seconds
  } finally {
    await gateway.stop()
  }
}

async function measureMode(
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
    const shadow = createSwitch(gateway.metricsUrl as string)
    // Runs at full speed with and without shadowing, so that all code is compiled before the measurement.
    for (const state of ['on', 'off'] as const) {
      await shadow.turn(state)
      await fullLoad(workshop, url, CONNECTIONS.json, warmUpSeconds)
    }
    const windows: Windows = { count: WARM_UP_WINDOWS + 8 * seconds, ms: WINDOW_MS, unmeasuredMs: UNMEASURED_MS }
    let watched: Promise<Cost[]> | undefined
    const load = await windowedLoad(workshop, url, rate, windows, (beginsAt) => {
      watched = Promise.all(
        Array.from({ length: windows.count }, (_, n) =>
          costOf(pid, beginsAt + n * windows.ms, () => shadow.turn(stateIn(n))),
        ),
      )
    })
    const costs = (await watched) as Cost[]
    const measured = load.windows.map((window, n): ShadowWindow => {
      const { mainMs, othersMs, disturbance } = costs[n] as Cost
      const each = (ms: number) => (ms * 1000) / window.requests
      return { ...window, mainUs: each(mainMs), othersUs: each(othersMs), disturbance }
    })
    const allPairs = inPairs(measured).slice(WARM_UP_WINDOWS / 2)
    const pairs = allPairs.filter(({ off, on }) => Math.max(off.disturbance, on.disturbance) <= MOST_DISTURBANCE)
    const share = await endings(gateway.metricsUrl as string)
    return { pairs, disturbed: allPairs.length - pairs.length, failed: load.notOk + load.socketErrors, share }
  } finally {
    await gateway.stop()
    target.close()
  }
}

/** Off, on, on, off: slow changes of the machine affect both states equally. */
function stateIn(window: number): 'on' | 'off' {
  return window % 4 === 1 || window % 4 === 2 ? 'on' : 'off'
}

function inPairs(windows: readonly ShadowWindow[]): Pair[] {
  return Array.from({ length: windows.length / 2 }, (_, n) => {
    const [first, second] = [windows[2 * n] as ShadowWindow, windows[2 * n + 1] as ShadowWindow]
    return stateIn(2 * n) === 'off' ? { off: first, on: second } : { off: second, on: first }
  })
}

type Cost = ReturnType<typeof threadsOf> & { readonly disturbance: number }

/** The processor time in the measured part of the window that begins at `beginsAt`. */
async function costOf(pid: number, beginsAt: number, turn: () => Promise<void>): Promise<Cost> {
  await pause(beginsAt - Date.now())
  await turn()
  const restMs = beginsAt + UNMEASURED_MS - Date.now()
  if (restMs < 0) throw new Error(`the switch was turned ${-restMs} ms too late for its window`)
  await pause(restMs)
  const [threadsBefore, busyBefore] = [threadsOf(pid), processorBusyMs(PROCESSORS.peer)]
  await pause(beginsAt + WINDOW_MS - Date.now())
  const [threadsAfter, busyAfter] = [threadsOf(pid), processorBusyMs(PROCESSORS.peer)]
  const [mainMs, othersMs] = [
    threadsAfter.mainMs - threadsBefore.mainMs,
    threadsAfter.othersMs - threadsBefore.othersMs,
  ]
  const disturbance = (busyAfter - busyBefore - mainMs - othersMs) / (WINDOW_MS - UNMEASURED_MS)
  return { mainMs, othersMs, disturbance }
}

function progress(n: number, mode: Mode, { pairs, disturbed, share }: ShadowRound): string {
  const of = (state: keyof Pair) =>
    `p99 ${state} ${(median(pairs.map((pair) => pair[state].p99Us)) / 1000).toFixed(1)} ms`
  return `round ${n + 1} shadow ${mode.padEnd(8)} ${of('off')}, ${of('on')}, compared ${(share.compared * 100).toFixed(1)} %, ${disturbed} pairs disturbed`
}

async function endings(metricsUrl: string): Promise<ShadowRound['share']> {
  const text = await (await fetch(metricsUrl)).text()
  const sums = { compared: 0, failed: 0, shed: 0 }
  let total = 0
  for (const [, outcome, count] of text.matchAll(
    /^strangler_shadow_outcomes_total\{.*outcome="([a-z]+)".*\} (\d+)$/gm,
  )) {
    total += Number(count)
    sums[outcome === 'failed' || outcome === 'shed' ? outcome : 'compared'] += Number(count)
  }
  if (total === 0) return sums
  return { compared: sums.compared / total, failed: sums.failed / total, shed: sums.shed / total }
}
