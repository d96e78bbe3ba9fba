// The script of a rule trial, in a thread of its own: expressions of operators and bodies of applications can both be expensive, and
// the gateway's own thread serves clients.
import { parentPort, workerData } from 'node:worker_threads'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { RuleTrialResult } from '../../model/comparison-views.ts'
import { readRules } from '../compare/rules.ts'
import { tryRules } from './try-rules.ts'

export type TrialData = { readonly written: unknown; readonly examples: readonly StoredExample[] }
export type TrialOutcome = Exclude<RuleTrialResult, { readonly kind: 'given-up' }>

parentPort?.postMessage(outcomeOf(workerData as TrialData))

function outcomeOf({ written, examples }: TrialData): TrialOutcome {
  const read = readRules(written)
  if (!read.ok) return { kind: 'mistakes', mistakes: read.mistakes }
  return { kind: 'tried', trial: tryRules(read.rules, examples) }
}
