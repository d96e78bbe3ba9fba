// A process for the tests that kill it: saves counts and examples in a folder as fast as it can, and prints each acknowledged
// number. Run as `node comparison-writer.ts <folder> <writer>`.
import { systemClock } from '../../src/entry/runtime.ts'
import { matched, storedExample } from '../../src/store/comparisons.test-kit.ts'
import { FileStore } from '../../src/store/file/file-store.ts'

const [, , folder, writer] = process.argv as [string, string, string, string]
const store = new FileStore({ folder, clock: systemClock })
await store.start()
for (let times = 1; ; times++) {
  await store.comparisons.saveCounts(writer, [matched(times)])
  process.stdout.write(`${times}\n`)
  if (times % 3 === 0) await store.comparisons.saveExamples([storedExample({ fingerprint: `f${times % 4}` })])
}
