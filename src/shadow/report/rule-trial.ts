// Tries rules of an operator on stored examples: within limits, in a thread of its own, and for a limited time. The gateway's own
// thread does not compile any of them.
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { RuleTrialResult } from '../../model/comparison-views.ts'
import { excessOfExpressions } from './expression-limits.ts'
import type { TrialData, TrialOutcome } from './try-rules-worker.ts'

/** @param written the rules as the operator sent them, not validated yet */
export type RuleTrialRunner = (written: unknown, examples: readonly StoredExample[]) => Promise<RuleTrialResult>

const TIMEOUT_MS = 10_000
const HEAP_MB = 256

/** One trial at a time: any operator may start one, and each uses a processor. */
export function createRuleTrialRunner(timeoutMs: number = TIMEOUT_MS): RuleTrialRunner {
  let isBusy = false
  return async (written, examples) => {
    const excess = excessOfExpressions(written)
    if (excess !== undefined) return { kind: 'mistakes', mistakes: [{ path: 'normalise', message: excess }] }
    if (isBusy) return { kind: 'given-up', why: 'other rules are being tried on this gateway: try again in a moment' }
    isBusy = true
    try {
      return await runIn(startWorker({ written, examples }), timeoutMs)
    } finally {
      isBusy = false
    }
  }
}

function startWorker(workerData: TrialData): Worker {
  const file = new URL(`./try-rules-worker${extname(import.meta.url)}`, import.meta.url)
  const limits = { maxOldGenerationSizeMb: HEAP_MB }
  return new Worker(file, { name: 'try-rules', workerData, resourceLimits: limits })
}

async function runIn(worker: Worker, timeoutMs: number): Promise<RuleTrialResult> {
  const { promise, resolve } = Promise.withResolvers<RuleTrialResult>()
  const giveUp = (reason: string) =>
    resolve({ kind: 'given-up', why: `${reason}: try fewer rules, simpler expressions, or one route` })
  const timer = setTimeout(() => giveUp(`trying these rules took longer than ${timeoutMs / 1000} s`), timeoutMs)
  worker
    .on('message', (outcome: TrialOutcome) => resolve(outcome))
    .on('error', () => giveUp('trying these rules failed'))
    .on('exit', () => giveUp('trying these rules ended without a result'))
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    await worker.terminate()
  }
}
