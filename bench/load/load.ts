// The two kinds of load, each a process on the processor of the load: at full speed (wrk), and at a fixed rate.
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Launch, PROCESSORS, type Workshop } from '../workshop.ts'

export type FullLoad = {
  readonly requests: number
  readonly bytes: number
  readonly seconds: number
  readonly p50Us: number
  readonly p99Us: number
  readonly notOk: number
  readonly socketErrors: number
  readonly timeouts: number
}

export type PacedWindow = { readonly requests: number; readonly p50Us: number; readonly p99Us: number }
type PacedLoads = { readonly windows: readonly PacedWindow[]; readonly notOk: number; readonly socketErrors: number }
export type PacedLoad = PacedWindow & Omit<PacedLoads, 'windows'>

/** The windows of a continuous load. The beginning of each window is not measured. */
export type Windows = { readonly count: number; readonly ms: number; readonly unmeasuredMs: number }

const SESSIONS_SCRIPT = fileURLToPath(new URL('sessions.lua', import.meta.url))
/** V8's helper threads would delay the client on their common processor, and the delay would be part of the measured latency. */
const CALM = ['--single-threaded-gc', '--no-allocation-site-pretenuring']
/** Much less than the settling time of the client. */
const LOOK_MS = 20
const PACED_CLIENT = fileURLToPath(new URL('paced-client.ts', import.meta.url))

export function fullLoad(workshop: Workshop, url: string, connections: number, seconds: number): Promise<FullLoad> {
  const limits = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s']
  return resultOf<FullLoad>(workshop, { command: 'wrk', args: [...limits, '-s', SESSIONS_SCRIPT, url] })
}

export async function pacedLoad(workshop: Workshop, url: string, rate: number, seconds: number): Promise<PacedLoad> {
  const { windows, ...rest } = await windowedLoad(workshop, url, rate, {
    count: 1,
    ms: seconds * 1000,
    unmeasuredMs: 0,
  })
  return { ...(windows[0] as PacedWindow), ...rest }
}

/** @param onBegin called once with the start of the first window, in milliseconds since 1970 */
export function windowedLoad(
  workshop: Workshop,
  url: string,
  rate: number,
  { count, ms, unmeasuredMs }: Windows,
  onBegin?: (beginsAt: number) => void,
): Promise<PacedLoads> {
  const args = [...CALM, PACED_CLIENT, url, ...[rate, count, ms, unmeasuredMs].map(String)]
  return resultOf<PacedLoads>(workshop, { command: process.execPath, args }, onBegin)
}

async function resultOf<Result>(
  workshop: Workshop,
  launch: Launch,
  onBegin?: (beginsAt: number) => void,
): Promise<Result> {
  const directory = workshop.newDirectory('load')
  const client = workshop.start('load', PROCESSORS.load, directory, launch)
  const findInOutput = (pattern: RegExp) => pattern.exec(readFileSync(client.outputFile, 'utf8'))?.[1]
  for (let begins: string | undefined; onBegin && begins === undefined && !client.hasExited(); ) {
    await pause(LOOK_MS)
    begins = findInOutput(/^BEGINS (.*)$/m)
    if (begins !== undefined) onBegin(Number(begins))
  }
  const exit = await client.exited
  const line = findInOutput(/^RESULT (.*)$/m)
  if (exit !== 0 || !line) throw new Error(`the load ended with ${exit}\n${client.lastWords()}`)
  workshop.discard(directory)
  return JSON.parse(line)
}
