// The script of the comparing thread: it receives jobs, sends the copies, compares the responses, and reports. A response that is
// expensive to compare does not delay the gateway's own thread.
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import { LruMap } from '../../lib/lru-map.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { TlsOptions } from '../../model/route.ts'
import type { CopyRequest } from '../../model/shadow.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import { ByteBudget } from '../capture/byte-budget.ts'
import { DryRunAgreements } from '../capture/dry-run-agreements.ts'
import { parsePathPattern } from '../compare/path-pattern.ts'
import { NO_RULES, readRules } from '../compare/rules.ts'
import { ComparisonStats } from '../stats/comparison-stats.ts'
import { CopyClient } from './copy-client.ts'
import { JobRunner, type PreparedJob } from './job-runner.ts'
import {
  COMPARISONS_STARTED,
  CURRENT_JOB,
  type DryRunRefusal,
  type Job,
  type JobResult,
  type PackedCopy,
  type ThreadInput,
  type ThreadReport,
  unpackFields,
} from './messages.ts'

export type WorkerData = {
  /** See `CURRENT_JOB` and `COMPARISONS_STARTED`. */
  readonly sharedMemory: SharedArrayBuffer
  /** Bytes of responses that the thread holds. */
  readonly maxBytes: number
}

/** While jobs are under way, silence means that the thread is stuck. */
const REPORT_INTERVAL_MS = 250
/** So many results are reported at once, because their captures hold bytes until then. */
const MAX_WAITING_RESULTS = 64
/** Examples of one difference: the first ones at once, then one per interval. */
const FIRST_EXAMPLES = 3
const EXAMPLE_INTERVAL_MS = 60_000
/** The lowest priority of Linux, below that of the thread that serves clients. */
const LOWEST_PRIORITY = 19

const port = parentPort
if (port === null) throw new Error('this file must run in a worker thread')
const { sharedMemory, maxBytes } = workerData as WorkerData
const flags = new Int32Array(sharedMemory)
const budget = new ByteBudget(() => maxBytes)
const client = new CopyClient({ budget })
const stats = new ComparisonStats()
const sharedValues = new Map<number, ShadowPolicy | TlsOptions>()
const comparisonRules = new Map<number, Pick<PreparedJob, 'rules' | 'redaction'>>()
const exampleTimes = new LruMap<string, { count: number; last: number }>(5000)
let cpuUsage = process.threadCpuUsage()
let runningJobs = 0
let isFinal = false
let results: JobResult[] = []
let examples: StoredExample[] = []
let notDryRun: DryRunRefusal[] = []

const runner = new JobRunner({
  client,
  budget,
  agreements: new DryRunAgreements({ client, now: () => performance.now() }),
  stats,
  watchComparison,
  wantsExample,
  addExample: (example) => examples.push(example),
  reportNotDryRun: (refusal) => notDryRun.push(refusal),
})

lowerPriority()
setInterval(report, REPORT_INTERVAL_MS)
port.on('message', (input: ThreadInput) => {
  if (input.resetsNumbers) {
    sharedValues.clear()
    comparisonRules.clear()
  }
  for (const [number, value] of input.sharedValues ?? []) sharedValues.set(number, value)
  if (input.counts !== undefined) stats.addEarlierCounts(input.counts)
  if (input.rulings !== undefined) stats.setRulings(input.rulings)
  for (const job of input.jobs ?? []) void run(job)
  if (input.isFinal) isFinal = true
})

async function run(job: Job): Promise<void> {
  runningJobs++
  const result = await runner.run(prepare(job))
  // `results` is read after the await: a report replaces the list.
  results.push(result)
  runningJobs--
  // The report comes after all jobs that end in this turn. A job that is counted but not reported would be counted again if this
  // thread were lost.
  if (results.length >= MAX_WAITING_RESULTS || (isFinal && runningJobs === 0)) setImmediate(report)
}

function watchComparison<T>(id: number, compare: () => T): T {
  Atomics.add(flags, COMPARISONS_STARTED, 1)
  Atomics.store(flags, CURRENT_JOB, id)
  try {
    return compare()
  } finally {
    Atomics.store(flags, CURRENT_JOB, 0)
  }
}

function wantsExample(fingerprint: string, time: number): boolean {
  const { count, last } = exampleTimes.get(fingerprint) ?? { count: 0, last: 0 }
  if (count >= FIRST_EXAMPLES && time - last < EXAMPLE_INTERVAL_MS) return false
  exampleTimes.set(fingerprint, { count: count + 1, last: time })
  return true
}

function prepare(job: Job): PreparedJob {
  const policy = sharedValues.get(job.policy) as ShadowPolicy
  const twin = job.twin && unpackCopy(job.twin)
  return { job, policy, ...rulesOf(job.policy, policy), copy: unpackCopy(job.copy), twin }
}

function unpackCopy({ tls, fields, identityFields, ...request }: PackedCopy): CopyRequest {
  return {
    ...request,
    tls: tls === undefined ? undefined : (sharedValues.get(tls) as TlsOptions),
    fields: unpackFields(fields),
    identityFields: unpackFields(identityFields),
  }
}

/** Compiles the rules of each policy once. The config was validated, so they have no mistakes. */
function rulesOf(policyNumber: number, { compare, showOnly }: ShadowPolicy): Pick<PreparedJob, 'rules' | 'redaction'> {
  const existing = comparisonRules.get(policyNumber)
  if (existing !== undefined) return existing
  const read = readRules(compare)
  const patterns = showOnly?.map(parsePathPattern).flatMap((parsed) => (parsed.ok ? [parsed.pattern] : []))
  const rules = { rules: read.ok ? read.rules : NO_RULES, redaction: { showOnly: patterns } }
  comparisonRules.set(policyNumber, rules)
  return rules
}

function report(): void {
  const update = stats.judge(Date.now())
  const hasUpdate = update.counts.length > 0 || Object.keys(update.parity).length > 0
  if (results.length === 0 && runningJobs === 0 && !hasUpdate && notDryRun.length === 0) {
    // The time of an idle thread is not charged to the next comparison: after a night it would be minutes.
    cpuUsage = process.threadCpuUsage()
    return
  }
  port?.postMessage({ cpuMs: takeCpuMs(), results, examples, notDryRun, ...update } satisfies ThreadReport)
  results = []
  examples = []
  notDryRun = []
}

/** The processor time since the last call, in milliseconds. The start of the thread is not counted: it happens once. */
function takeCpuMs(): number {
  const { user, system } = process.threadCpuUsage(cpuUsage)
  cpuUsage = process.threadCpuUsage()
  return (user + system) / 1000
}

/** On Linux each thread has its own priority. Elsewhere, or without the permission, the thread keeps the normal one. */
function lowerPriority(): void {
  try {
    setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), LOWEST_PRIORITY)
  } catch {}
}
