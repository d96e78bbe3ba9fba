// The comparing thread: takes jobs, sends the copies, compares, and reports. Whatever an answer does here, the gateway's
// own thread does not feel it; if it never ends, the thread is ended and another begins.
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { TlsOptions } from '../../model/route.ts'
import type { CopyRequest } from '../../model/shadow.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import { createBudget } from '../capture/byte-budget.ts'
import { createDryRuns } from '../capture/dry-run-agreements.ts'
import { parsePathPattern } from '../compare/path-pattern.ts'
import { NO_RULES, readRules } from '../compare/rules.ts'
import { createScorebook } from '../stats/comparison-stats.ts'
import { createCopyClient } from './copy-client.ts'
import { createCopier, type Work } from './job-runner.ts'
import { BUSY_WITH, type Ended, type Job, type PackedCopy, type Parcel, type Report, TURN, unpack } from './messages.ts'

export type WorkerData = {
  /** What it is busy with: see `BUSY_WITH` and `TURN`. */
  readonly busy: SharedArrayBuffer
  readonly mostBytes: number
}

/** While anything is under way a report comes this often, so that silence tells. */
const REPORT_MS = 250
/** Endings are told at once where so many have gathered: their captures' bytes are held until then. */
const MANY_ENDED = 64
/** Examples of one difference: the first ones at once, then one from time to time. */
const FIRST_EXAMPLES = 3
const EXAMPLE_MS = 60_000
const MOST_REMEMBERED = 5000
const LESS_THAN_TRAFFIC = 19

const port = parentPort
if (port === null) throw new Error('this file is the comparing thread')
const { busy, mostBytes } = workerData as WorkerData
const flags = new Int32Array(busy)
const budget = createBudget(() => mostBytes)
const asker = createCopyClient(budget)
const book = createScorebook()
const known = new Map<number, ShadowPolicy | TlsOptions>()
const meanings = new Map<number, Pick<Work, 'rules' | 'redaction'>>()
const given = new Map<string, { count: number; last: number }>()
let cpuBefore = process.threadCpuUsage()
let underWay = 0
let isLast = false
let ended: Ended[] = []
let examples: StoredExample[] = []
let notDryRun: { context: string; origin: string; why: string }[] = []

const run = createCopier({
  asker,
  budget,
  dryRuns: createDryRuns(asker, () => performance.now()),
  book,
  whileComparing: (id, compare) => {
    Atomics.add(flags, TURN, 1)
    Atomics.store(flags, BUSY_WITH, id)
    try {
      return compare()
    } finally {
      Atomics.store(flags, BUSY_WITH, 0)
    }
  },
  isWanted: (fingerprint, at) => {
    const before = given.get(fingerprint) ?? { count: 0, last: 0 }
    if (before.count >= FIRST_EXAMPLES && at - before.last < EXAMPLE_MS) return false
    if (given.size >= MOST_REMEMBERED) given.clear()
    given.set(fingerprint, { count: before.count + 1, last: at })
    return true
  },
  keep: (example) => examples.push(example),
  notDryRun: (context, origin, why) => notDryRun.push({ context, origin, why }),
})

giveWay()
setInterval(report, REPORT_MS)
port.on('message', (parcel: Parcel) => {
  if (parcel.isAnew) {
    known.clear()
    meanings.clear()
  }
  for (const [at, value] of parcel.known ?? []) known.set(at, value)
  if (parcel.counts !== undefined) book.learn(parcel.counts)
  if (parcel.rulings !== undefined) book.rule(parcel.rulings)
  for (const job of parcel.jobs ?? []) void take(job)
  if (parcel.isLast) isLast = true
})

async function take(job: Job): Promise<void> {
  underWay++
  const one = await run(workOf(job))
  // Not in one line: the list is another by then, as a report has taken the one before.
  ended.push(one)
  underWay--
  // When all that is done by now has said so: what is counted and not yet ended would be counted again if this thread
  // were lost.
  if (ended.length >= MANY_ENDED || (isLast && underWay === 0)) setImmediate(report)
}

function workOf(job: Job): Work {
  const policy = known.get(job.policy) as ShadowPolicy
  const copy = copyOf(job.copy)
  return { job, policy, ...meaningOf(job.policy, policy), copy, again: job.again && copyOf(job.again) }
}

function copyOf({ tls, fields, identityFields, ...request }: PackedCopy): CopyRequest {
  return {
    ...request,
    tls: tls === undefined ? undefined : (known.get(tls) as TlsOptions),
    fields: unpack(fields),
    identityFields: unpack(identityFields),
  }
}

/** What a policy says, read once. The map was refused if it could not be. */
function meaningOf(at: number, { compare, showOnly }: ShadowPolicy): Pick<Work, 'rules' | 'redaction'> {
  const before = meanings.get(at)
  if (before !== undefined) return before
  const read = readRules(compare)
  const shown = showOnly?.map(parsePathPattern).flatMap((parsed) => (parsed.ok ? [parsed.pattern] : []))
  const meaning = { rules: read.ok ? read.rules : NO_RULES, redaction: { showOnly: shown } }
  meanings.set(at, meaning)
  return meaning
}

function report(): void {
  const judged = book.judge(Date.now())
  const isJudged = judged.counts.length > 0 || Object.keys(judged.parity).length > 0
  if (ended.length === 0 && underWay === 0 && !isJudged && notDryRun.length === 0) {
    // What an idle thread takes is not charged to whatever is compared next: after a night that would be minutes of nothing.
    cpuBefore = process.threadCpuUsage()
    return
  }
  port?.postMessage({ cpuMs: cpuSinceLast(), ended, examples, notDryRun, ...judged } satisfies Report)
  ended = []
  examples = []
  notDryRun = []
}

/** What it took to begin is not counted: it comes once. */
function cpuSinceLast(): number {
  const { user, system } = process.threadCpuUsage(cpuBefore)
  cpuBefore = process.threadCpuUsage()
  return (user + system) / 1000
}

/** On Linux a thread has a priority of its own: comparing takes what answering leaves. */
function giveWay(): void {
  try {
    setPriority(Number(readlinkSync('/proc/thread-self').split('/').at(-1)), LESS_THAN_TRAFFIC)
  } catch {
    // Elsewhere, or where it is not allowed: it is as good as any other thread.
  }
}
