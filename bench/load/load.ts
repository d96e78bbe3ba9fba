// The two kinds of load, each a process on the load's processor: as fast as it goes (wrk), and at a fixed rate.
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

/** Of a load that goes on without a pause; in each window, what is at its beginning is not measured. */
export type Windows = { readonly count: number; readonly ms: number; readonly unmeasuredMs: number }

const SESSIONS_SCRIPT = fileURLToPath(new URL('sessions.lua', import.meta.url))
/** It shares its processor: V8's helper threads would make it wait, and what it waits is in what it measures. */
const CALM = ['--single-threaded-gc', '--no-allocation-site-pretenuring']
/** Well within what the client settles. */
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

/** @param onBegin told once, when the first window begins: milliseconds since the epoch */
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
