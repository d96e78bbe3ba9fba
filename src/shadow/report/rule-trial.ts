// A trial of rules from outside: bounded, then read and tried in a thread of its own, and given up in time. Nothing of it is
// compiled in the gateway's thread.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { RuleTrialResult } from '../../model/comparison-views.ts'
import { excessOfExpressions } from './expression-limits.ts'
import type { TrialData, TrialOutcome } from './try-rules-worker.ts'

export type Trial = (written: unknown, examples: readonly StoredExample[]) => Promise<RuleTrialResult>

const LIMIT_MS = 10_000
const HEAP_MB = 256

/** One trial at a time: whoever likes may ask for them, and each takes a processor. */
export function createTrial(limitMs: number = LIMIT_MS): Trial {
  let isBusy = false
  return async (written, examples) => {
    const excess = excessOfExpressions(written)
    if (excess !== undefined) return { kind: 'mistakes', mistakes: [{ path: 'normalise', message: excess }] }
    if (isBusy) return { kind: 'given-up', why: 'other rules are being tried on this gateway: try again in a moment' }
    isBusy = true
    try {
      return await runIn(thread({ written, examples }), limitMs)
    } finally {
      isBusy = false
    }
  }
}

function thread(workerData: TrialData): Worker {
  const file = new URL(`./try-rules-worker${extname(import.meta.url)}`, import.meta.url)
  const limits = { maxOldGenerationSizeMb: HEAP_MB }
  return new Worker(file, { name: 'try-rules', workerData, resourceLimits: limits })
}

async function runIn(worker: Worker, limitMs: number): Promise<RuleTrialResult> {
  const { promise, resolve } = Promise.withResolvers<RuleTrialResult>()
  const giveUp = (what: string) =>
    resolve({ kind: 'given-up', why: `${what}: try fewer rules, simpler expressions, or one route` })
  const limit = setTimeout(() => giveUp(`trying these rules took longer than ${limitMs / 1000} s`), limitMs)
  worker
    .on('message', (outcome: TrialOutcome) => resolve(outcome))
    .on('error', () => giveUp('trying these rules failed'))
    .on('exit', () => giveUp('trying these rules ended without a word'))
  try {
    return await promise
  } finally {
    clearTimeout(limit)
    await worker.terminate()
  }
}
