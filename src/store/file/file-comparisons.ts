// What comparing finds, in a folder. It has a turn of its own: a change of the state does not wait for it.
import { join } from 'node:path'
import type { RouteCounts } from '../../model/comparison-counts.ts'
import type { ComparisonStore } from '../../model/comparison-store.ts'
import type { Clock } from '../../model/ports.ts'
import { StoreUnavailable } from '../../model/state-store.ts'
import { parseRouteCounts, textOfExample } from '../comparison-shape.ts'
import { askedOf, entriesOf, forgottenAt, isAsked, merged } from '../counts-entries.ts'
import { idOf } from '../example-id.ts'
import { tellOnce } from '../once.ts'
import { queue } from '../queue.ts'
import { NotThat } from '../shape.ts'
import { CountsFiles } from './counts-files.ts'
import { ExampleFiles } from './example-files.ts'

export type FileComparisonsOptions = {
  readonly folder: string
  readonly clock: Clock
  readonly troubled: (error: Error) => void
  readonly writeFailed?: ((error: unknown) => void) | undefined
  /** Rejects where the folder is not ours to write. */
  readonly own: () => Promise<unknown>
}

export type FileComparisons = {
  readonly store: ComparisonStore
  /** The folder is ours from now on: takes away and folds what others have left. Nobody waits for it. */
  readonly tidy: () => void
  /** Resolves when nothing is being written any more. */
  readonly close: () => Promise<void>
}

export function fileComparisons({
  folder,
  clock,
  troubled,
  writeFailed,
  own,
}: FileComparisonsOptions): FileComparisons {
  const once = tellOnce(troubled)
  const counts = new CountsFiles(join(folder, 'counts'), once)
  const examples = new ExampleFiles(join(folder, 'examples'), once)
  const inTurn = queue()
  /** Who may say more of what they have said. */
  const living = new Set<string>()
  let isClosed = false

  return {
    store: {
      saveCounts: async (writer, given) => {
        const stretches = entriesOf(writer, given)
        living.add(writer)
        await write(async () => {
          for (const [start, entries] of stretches) {
            const isNew = await counts.put(start, entries)
            if (isNew) await sweep()
          }
        })
      },
      counts: (query) => attempt('read', () => readCounts(query)),
      saveExamples: async (given) => {
        const texts = given.map((one) => ({ one, text: textOfExample(one) }))
        await write(async () => {
          for (const { one, text } of texts) await examples.put(one.context, idOf(one, text), text, clock.wallTime())
        })
      },
      examples: ({ context, fingerprint }) =>
        attempt('read', () => examples.read(context, fingerprint, clock.wallTime())),
    },
    tidy: () => {
      inTurn(async () => {
        await sweep()
        await counts.fold(living)
      }).catch((error: unknown) => troubled(new Error(`${folder} cannot be tidied`, { cause: error })))
    },
    close: async () => {
      isClosed = true
      await inTurn(async () => {})
    },
  }

  /** Stretch by stretch: while one is read from the disk, requests have their turn. */
  async function readCounts(query: Parameters<ComparisonStore['counts']>[0]): Promise<readonly RouteCounts[]> {
    const asked = askedOf(query)
    const found: RouteCounts[] = []
    for (const start of await counts.starts()) {
      if (start < query.from || forgottenAt(start) <= clock.wallTime()) continue
      for (const [name, text] of await counts.read(start)) {
        if (isAsked(name, asked)) found.push(...understood(start, text))
      }
    }
    return merged(found)
  }

  function understood(start: number, text: string): readonly RouteCounts[] {
    try {
      return [parseRouteCounts(text)]
    } catch (error) {
      if (!(error instanceof NotThat)) throw error
      once(`an entry of ${start}.counts in ${folder}`, error)
      return []
    }
  }

  async function write(what: () => Promise<void>): Promise<void> {
    // What was asked for before is still done.
    if (isClosed) throw new StoreUnavailable('the store is closed', undefined)
    return inTurn(async () => {
      await own()
      await attempt('written', what)
    })
  }

  async function sweep(): Promise<void> {
    await counts.sweep(clock.wallTime())
    await examples.sweep(clock.wallTime())
  }

  /** Whether the state can be kept is not told by this: it is said to who asked. */
  async function attempt<T>(what: 'read' | 'written', doing: () => Promise<T>): Promise<T> {
    try {
      return await doing()
    } catch (error) {
      if (what === 'written') writeFailed?.(error)
      const why = error instanceof Error ? error.message : String(error)
      throw new StoreUnavailable(`${folder} cannot be ${what}: ${why}`, error)
    }
  }
}
