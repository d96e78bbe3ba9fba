// A comparing thread that handles each job as the context of the job says, for tests of its supervision.
import { parentPort, workerData } from 'node:worker_threads'
import {
  COMPARISONS_STARTED,
  CURRENT_JOB,
  type Job,
  type JobResult,
  type ThreadInput,
  type ThreadReport,
} from './messages.ts'

const port = parentPort
if (port === null) throw new Error('this file is a thread')
const flags = new Int32Array((workerData as { readonly sharedMemory: SharedArrayBuffer }).sharedMemory)
/** All input since the start of the thread, except jobs. */
const received = {
  known: [] as (readonly [number, unknown])[],
  counts: [] as unknown[],
  rulings: {} as object,
  anew: 0,
}

port.on('message', ({ sharedValues: values, jobs, counts, rulings, resetsNumbers: isAnew }: ThreadInput) => {
  if (isAnew) {
    received.anew++
    received.known = []
  }
  received.known.push(...(values ?? []))
  received.counts.push(...(counts ?? []))
  if (rulings !== undefined) received.rulings = rulings
  for (const job of jobs ?? []) doAsTold(job)
})

function doAsTold(job: Job): void {
  const { id, context } = job
  if (context === 'answers') report({ results: [ended(id)] })
  if (context === 'answers later') setTimeout(() => report({ results: [ended(id)] }), 300)
  if (context === 'tells') {
    const why = JSON.stringify({ ...received, policy: received.known.find(([number]) => number === job.policy)?.[1] })
    report({ results: [ended(id)], notDryRun: [{ context, origin: '', why }] })
  }
  if (context === 'spins') {
    Atomics.add(flags, COMPARISONS_STARTED, 1)
    Atomics.store(flags, CURRENT_JOB, id)
    for (;;);
  }
  if (context === 'throws') throw new Error('a bug')
  if (context === 'exits') process.exit(0)
  if (context === 'exhausts') for (const held: unknown[][] = []; ; ) held.push(new Array(100_000).fill(id))
}

function ended(id: number): JobResult {
  return { id, outcome: 'matched', reason: '', copyMs: 1 }
}

function report(more: Partial<ThreadReport>): void {
  const nothing = { results: [], counts: [], cpuMs: 0, pairShares: {}, parity: {}, examples: [], notDryRun: [] }
  port?.postMessage({ ...nothing, ...more } satisfies ThreadReport)
}
