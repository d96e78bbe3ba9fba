// Where the gateway's time goes: it alone, under --cpu-prof and the small GETs, and its functions by self time.
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
const LONGEST_EXIT_MS = 30_000
const REPOSITORY = new URL('..', import.meta.url).href

type CallFrame = { functionName: string; url: string; lineNumber: number }
type CpuProfile = { nodes: { id: number; callFrame: CallFrame }[]; samples: number[]; timeDeltas: number[] }

export async function profile(seconds: number, keep: string | undefined): Promise<number> {
  const workshop = new Workshop()
  try {
    const { path, requestsPerSecond } = await record(workshop, seconds)
    if (keep) copyFileSync(path, keep)
    console.log(`${requestsPerSecond} requests/s under the profiler\n`)
    console.log(selfTimes(JSON.parse(readFileSync(path, 'utf8'))))
    return 0
  } finally {
    workshop.clear()
  }
}

async function record(workshop: Workshop, seconds: number) {
  const directory = workshop.newDirectory('profile')
  const subject = await startPeer(workshop, await startOrigin(workshop), underProfiler(directory))
  const load = await fullLoad(workshop, subject.baseUrl + PATHS.json, CONNECTIONS.json, seconds)
  await endWithProfile(subject.running!)
  const file = readdirSync(directory).find((name) => name.endsWith('.cpuprofile'))
  if (!file) throw new Error(`the gateway left no profile\n${subject.running!.lastWords()}`)
  return { path: join(directory, file), requestsPerSecond: Math.round(load.requests / load.seconds) }
}

// The profile is written as the process exits, so it is asked to, and asked again, which ends a drain at once.
async function endWithProfile(running: Running): Promise<void> {
  running.signal('SIGTERM')
  await Promise.race([running.exited, pause(500)])
  running.signal('SIGTERM')
  await Promise.race([running.exited, pause(LONGEST_EXIT_MS)])
}

function underProfiler(directory: string): Peer {
  const options = ['--cpu-prof', `--cpu-prof-dir=${directory}`, `--cpu-prof-interval=${SAMPLE_EVERY_US}`]
  return { ...strangler, prepare: (site) => prepareStrangler(site, options) }
}

/** Pure: the rows of the table, the most expensive function first; idle time is left out of the shares. */
export function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): string {
  const whereIs = new Map(nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]))
  const selfUs = new Map<string, number>()
  samples.forEach((id, n) => {
    const place = whereIs.get(id)!
    selfUs.set(place, (selfUs.get(place) ?? 0) + timeDeltas[n]!)
  })
  selfUs.delete('(idle)')
  const total = [...selfUs.values()].reduce((sum, us) => sum + us, 0)
  const rows = [...selfUs].toSorted((a, b) => b[1] - a[1]).slice(0, ROWS)
  const lines = rows.map(([place, us]) => `${((us / total) * 100).toFixed(1).padStart(5)} %  ${place}`)
  return [`Self time of ${(total / 1e6).toFixed(1)} s that were not idle, start included:`, ...lines].join('\n')
}

function placeOf({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName || '(anonymous)'
  return url ? `${name}  ${url.replace(REPOSITORY, '').replace(/^.*node_modules\//, '')}:${lineNumber + 1}` : name
}
