// A thread that studies one family, seed after seed.
import { parentPort, workerData } from 'node:worker_threads'
import type { FamilyName } from './families.ts'
import { studySeed } from './study.ts'

export type Work = { readonly family: FamilyName; readonly seeds: number }

const { family, seeds } = workerData as Work
for (let seed = 1; seed <= seeds; seed++) parentPort!.postMessage(studySeed(family, seed))
