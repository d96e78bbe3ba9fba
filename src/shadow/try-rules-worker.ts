// Tries rules in a thread of its own: expressions are whatever somebody wrote, bodies whatever an application said, and
// the gateway's own thread serves.
import { parentPort, workerData } from 'node:worker_threads'
import type { KeptExample } from '../model/shadow.ts'
import { readRules } from './rules.ts'
import { tryRules } from './try-rules.ts'

export type TrialData = { readonly written: unknown; readonly examples: readonly KeptExample[] }

const { written, examples } = workerData as TrialData
const read = readRules(written)
if (read.ok) parentPort?.postMessage(tryRules(read.rules, examples))
