// `npm run bench`: the gateway and its peers, measured in turn in one run, and judged against the targets.
// Exit codes: 0 every measured target passed; 1 a target was missed or a peer failed; 2 the run could not begin.
import { writeFileSync } from 'node:fs'
import { machineFacts } from './machine.ts'
import { measure, type Plan, type Round } from './measure.ts'
import { type Options, readOptions, USAGE } from './options.ts'
import { startOrigin } from './origin.ts'
import type { Peer } from './peers/peer.ts'
import { missing } from './prerequisites.ts'
import { profile } from './profile.ts'
import { report } from './report.ts'
import type { Results } from './results.ts'
import { measureShadow } from './shadow/measure.ts'
import { judgeShadow, shadowReport } from './shadow/report.ts'
import { measureUploads } from './shadow/uploads.ts'
import { judge } from './targets.ts'
import { INTERRUPTED, Workshop } from './workshop.ts'

const WARM_UP_SECONDS = 3
const RESULTS_FILE = new URL('RESULTS.md', import.meta.url)

process.exitCode = await main()

async function main(): Promise<number> {
  const options = optionsOrComplaint()
  if (typeof options === 'string') return refuse(options)
  if (options.help) return say(USAGE, 0)
  const absent = missing(options.peers)
  if (absent.length > 0) return refuse(absent.join('\n'))
  try {
    return options.profile
      ? await profile({ ...options, workload: options.download ? 'download' : 'json' })
      : await bench(options)
  } catch (error) {
    if (process.exitCode === INTERRUPTED) return INTERRUPTED
    console.error(`\nFAILED: ${(error as Error).message}`)
    return 1
  }
}

async function bench(options: Options): Promise<number> {
  const beside = options.shadow === 'only' ? undefined : await besidePeers(options)
  const shadow = options.shadow === 'not' ? undefined : await shadowing(options)
  const parts = [beside, shadow].filter((part) => part !== undefined)
  const text = parts.map((part) => part.text).join('\n\n')
  console.log(`\n${text}`)
  if (options.save) writeFileSync(RESULTS_FILE, `${text}\n`)
  return parts.every((part) => part.isMet) ? 0 : 1
}

type Part = { readonly text: string; readonly isMet: boolean }

async function besidePeers(options: Options): Promise<Part> {
  const plan = planFor(options)
  const results = await allRounds(options, plan)
  const verdicts = judge(results)
  const conditions = { ...options, ...plan, facts: machineFacts(options.peers), pacedRate: plan.rateAfter(0) }
  const isClean = [...results.values()].flat().every((round) => round.troubles.length === 0)
  const isMet = isClean && verdicts.every((verdict) => verdict.word !== 'MISSED')
  return { text: report(results, verdicts, conditions), isMet }
}

async function shadowing({ rounds, seconds }: Options): Promise<Part> {
  const workshop = new Workshop()
  try {
    const origin = await startOrigin(workshop)
    const plan = { rounds, seconds, warmUpSeconds: Math.min(WARM_UP_SECONDS, seconds) }
    const results = await measureShadow(workshop, origin, plan, console.error)
    const uploads = await measureUploads(workshop, origin)
    const verdicts = judgeShadow(results, uploads)
    return { text: shadowReport(results, uploads, verdicts), isMet: verdicts.every(({ isMet }) => isMet) }
  } finally {
    workshop.clear()
  }
}

async function allRounds({ peers, rounds }: Options, plan: Plan): Promise<Results> {
  const results = new Map<string, Round[]>(peers.map((peer) => [peer.name, []]))
  const workshop = new Workshop()
  try {
    const origin = await startOrigin(workshop)
    for (let n = 0; n < rounds; n++) {
      for (const peer of turned(peers, n)) {
        const round = await measure(workshop, origin, peer, plan)
        results.get(peer.name)!.push(round)
        console.error(progress(n, peer, round))
      }
    }
  } finally {
    workshop.clear()
  }
  return results
}

/** Each round begins one peer later, so that none always follows the same other one. */
function turned(peers: readonly Peer[], by: number): Peer[] {
  const start = by % peers.length
  return [...peers.slice(start), ...peers.slice(0, start)]
}

/** Everybody gets the same rate, a tenth of the first peak of the run: the gateway's, where it takes part. */
function planFor({ seconds }: Options): Plan {
  let rate: number | undefined
  const rateAfter = (peakPerSecond: number) => {
    rate ??= Math.max(1, Math.round(peakPerSecond / 10))
    return rate
  }
  return { seconds, warmUpSeconds: Math.min(WARM_UP_SECONDS, seconds), rateAfter }
}

function progress(n: number, { name }: Peer, round: Round): string {
  const cost = round.cost ? `${round.cost.cpuUsPerRequest.toFixed(1)} µs CPU, ` : ''
  const troubles = round.troubles.length > 0 ? ` TROUBLE: ${round.troubles.join('; ')}` : ''
  return `round ${n + 1} ${name.padEnd(9)} ${round.requestsPerSecond.toFixed(0)}/s, ${cost}${round.downloadMiBps.toFixed(0)} MiB/s${troubles}`
}

function optionsOrComplaint(): Options | string {
  try {
    return readOptions(process.argv.slice(2))
  } catch (error) {
    return `${(error as Error).message}\n\n${USAGE}`
  }
}

function refuse(why: string): number {
  console.error(why)
  return 2
}

function say(text: string, exitCode: number): number {
  console.log(text)
  return exitCode
}
