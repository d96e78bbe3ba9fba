// The two kinds of load, each a process on the load's processor: as fast as it goes (wrk), and at a fixed rate.
import { readFileSync } from 'node:fs'
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

export type PacedLoad = {
  readonly requests: number
  readonly p50Us: number
  readonly p99Us: number
  readonly notOk: number
  readonly socketErrors: number
}

const SESSIONS_SCRIPT = fileURLToPath(new URL('sessions.lua', import.meta.url))
const PACED_CLIENT = fileURLToPath(new URL('paced-client.ts', import.meta.url))

export function fullLoad(workshop: Workshop, url: string, connections: number, seconds: number): Promise<FullLoad> {
  const limits = ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s']
  return resultOf<FullLoad>(workshop, { command: 'wrk', args: [...limits, '-s', SESSIONS_SCRIPT, url] })
}

export function pacedLoad(workshop: Workshop, url: string, rate: number, seconds: number): Promise<PacedLoad> {
  const args = [PACED_CLIENT, url, String(rate), String(seconds)]
  return resultOf<PacedLoad>(workshop, { command: process.execPath, args })
}

async function resultOf<Result>(workshop: Workshop, launch: Launch): Promise<Result> {
  const directory = workshop.newDirectory('load')
  const client = workshop.start('load', PROCESSORS.load, directory, launch)
  const exit = await client.exited
  const line = readFileSync(client.outputFile, 'utf8').match(/^RESULT (.*)$/m)?.[1]
  if (exit !== 0 || !line) throw new Error(`the load ended with ${exit}\n${client.lastWords()}`)
  workshop.discard(directory)
  return JSON.parse(line)
}
