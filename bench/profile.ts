// Where the gateway's time goes: it alone, under --cpu-prof and load, and its functions by self time.
import { copyFileSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fullLoad } from './load/load.ts'
import { CONNECTIONS, startPeer } from './measure.ts'
import { PATHS, startOrigin } from './origin.ts'
import type { Peer } from './peers/peer.ts'
import { prepareStrangler, strangler } from './peers/strangler.ts'
import { type Running, Workshop } from './workshop.ts'

const ROWS = 45
const SAMPLE_EVERY_US = 250
const WARM_UP_SECONDS = 2
const LONGEST_EXIT_MS = 30_000
const REPOSITORY = new URL('..', import.meta.url).href

type CallFrame = { functionName: string; url: string; lineNumber: number }
type CpuProfile = { nodes: { id: number; callFrame: CallFrame }[]; samples: number[]; timeDeltas: number[] }

export type Subject = {
  readonly seconds: number
  readonly workload: keyof typeof PATHS
  readonly keep: string | undefined
}

export async function profile({ seconds, workload, keep }: Subject): Promise<number> {
  const workshop = new Workshop()
  try {
    const { path, requestsPerSecond, fromUs } = await record(workshop, workload, seconds)
    if (keep) copyFileSync(path, keep)
    console.log(`${requestsPerSecond} requests/s under the profiler`)
    console.log(selfTimes(JSON.parse(readFileSync(path, 'utf8')), fromUs))
    return 0
  } finally {
    workshop.clear()
  }
}

async function record(workshop: Workshop, workload: Subject['workload'], seconds: number) {
  const directory = workshop.newDirectory('profile')
  const origin = await startOrigin(workshop)
  const launchedAt = performance.now()
  const gateway = await startPeer(workshop, origin, underProfiler(directory))
  const load = (forSeconds: number) =>
    fullLoad(workshop, gateway.baseUrl + PATHS[workload], CONNECTIONS[workload], forSeconds)
  await load(WARM_UP_SECONDS)
  const fromUs = (performance.now() - launchedAt) * 1000
  const { requests, seconds: measuredSeconds } = await load(seconds)
  await endWithProfile(gateway.running!)
  const file = readdirSync(directory).find((name) => name.endsWith('.cpuprofile'))
  if (!file) throw new Error(`the gateway left no profile\n${gateway.running!.lastWords()}`)
  return { path: join(directory, file), requestsPerSecond: Math.round(requests / measuredSeconds), fromUs }
}

// The profile is written as the process exits, so it is asked to, and asked again, which ends a drain at once.
async function endWithProfile(running: Running): Promise<void> {
  running.signal('SIGTERM')
  await Promise.race([running.exited, pause(500)])
  running.signal('SIGTERM')
  await Promise.race([running.exited, pause(LONGEST_EXIT_MS)])
}

function underProfiler(directory: string): Peer {
  // On one processor the gateway would replace its process, and the profiler's timer would end the new one.
  const options = [
    '--single-threaded-gc',
    '--cpu-prof',
    `--cpu-prof-dir=${directory}`,
    `--cpu-prof-interval=${SAMPLE_EVERY_US}`,
  ]
  return { ...strangler, prepare: (site) => prepareStrangler(site, options) }
}

/** The most expensive functions first, and before them the rooms and packages they belong to; idle time and the start are left out. */
export function selfTimes({ nodes, samples, timeDeltas }: CpuProfile, fromUs: number): string {
  const frameOf = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const [byGroup, byPlace] = [new Map<string, number>(), new Map<string, number>()]
  let [clockUs, totalUs] = [0, 0]
  samples.forEach((id, n) => {
    const us = timeDeltas[n]!
    const frame = frameOf.get(id)!
    clockUs += us
    if (clockUs < fromUs || frame.functionName === '(idle)') return
    totalUs += us
    add(byGroup, groupOf(frame), us)
    add(byPlace, placeOf(frame), us)
  })
  return `\n${shares(byGroup, totalUs)}\n\n${shares(byPlace, totalUs)}`
}

function add(sums: Map<string, number>, key: string, us: number): void {
  sums.set(key, (sums.get(key) ?? 0) + us)
}

function shares(sums: ReadonlyMap<string, number>, totalUs: number): string {
  const rows = [...sums].toSorted((a, b) => b[1] - a[1]).slice(0, ROWS)
  return rows.map(([what, us]) => `${((us / totalUs) * 100).toFixed(1).padStart(5)} %  ${what}`).join('\n')
}

function groupOf({ functionName, url }: CallFrame): string {
  if (url === '') return functionName.startsWith('(') ? functionName : 'native code and system calls'
  if (url.startsWith('node:')) return 'node:*'
  if (url.startsWith('wasm:')) return 'wasm (undici parses HTTP in it)'
  const packageName = /^.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]
  return packageName ?? url.replace(REPOSITORY, '').replace(/\/[^/]*$/, '/')
}

function placeOf({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName || '(anonymous)'
  return url ? `${name}  ${url.replace(REPOSITORY, '').replace(/^.*node_modules\//, '')}:${lineNumber + 1}` : name
}
