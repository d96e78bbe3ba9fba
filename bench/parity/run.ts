// `npm run bench:parity`: whether faults are reported in time, and noise is not.
// Exit codes: 0 every target was reached; 1 one was missed; 2 the study could not begin.
import { writeFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import type { FamilyName } from './families.ts'
import type { Work } from './family-worker.ts'
import { judgingCosts } from './judging-cost.ts'
import { type Options, readOptions, USAGE } from './options.ts'
import { report } from './report.ts'
import type { SeedResult } from './study.ts'
import { judgeTargets, type Results } from './targets.ts'

const RESULTS_FILE = new URL('RESULTS.md', import.meta.url)

process.exitCode = await main()

async function main(): Promise<number> {
  const options = readOptionsOrError()
  if (typeof options === 'string') {
    console.error(options)
    return 2
  }
  if (options.help) {
    console.log(USAGE)
    return 0
  }
  const results = await studyAll(options)
  const verdicts = judgeTargets(results)
  const text = report(results, verdicts, judgingCosts())
  console.log(text)
  if (options.save) writeFileSync(RESULTS_FILE, `${text}\n`)
  return verdicts.every(({ verdict }) => verdict === 'PASS') ? 0 : 1
}

async function studyAll({ families, seeds }: Options): Promise<Results> {
  const studied = families.map(async (family) => [family, await studyFamily(family, seeds)] as const)
  return Object.fromEntries(await Promise.all(studied))
}

/** In a thread of its own, to use two processors. The results of a seed do not depend on it. */
function studyFamily(family: FamilyName, seeds: number): Promise<SeedResult[]> {
  const results: SeedResult[] = []
  const workerData: Work = { family, seeds }
  const worker = new Worker(new URL('family-worker.ts', import.meta.url), { workerData })
  return new Promise((resolve, reject) => {
    worker.on('message', (result: SeedResult) => {
      results.push(result)
      console.error(`${family}: seed ${results.length} of ${seeds}`)
    })
    worker.on('error', reject)
    worker.on('exit', () => {
      if (results.length === seeds) resolve(results)
      else reject(new Error(`${family}: ended after ${results.length} of ${seeds} seeds`))
    })
  })
}

function readOptionsOrError(): Options | string {
  try {
    return readOptions(process.argv.slice(2))
  } catch (error) {
    return `${(error as Error).message}\n\n${USAGE}`
  }
}
