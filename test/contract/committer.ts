// A process for the tests that kill it: commits to a folder as fast as it can, and prints each acknowledged generation.
// Run as `node committer.ts <folder>`.
import { systemClock } from '../../src/entry/runtime.ts'
import { FileStore } from '../../src/store/file/file-store.ts'
import { entryOf, flipped, refusal } from './changes.ts'

const store = new FileStore({ folder: process.argv[2] as string, clock: systemClock })
await store.start()
for (;;) {
  const next = flipped(store.current(), 50)
  const result = await store.commit(next, entryOf(next))
  if (!result.ok) throw new Error('another process has changed the state')
  process.stdout.write(`${next.generation}\n`)
  if (next.generation % 5 === 0) await store.record(refusal(`after ${next.generation}`))
}
