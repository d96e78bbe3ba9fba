// Counts and examples of comparisons in a folder. Writes have a queue of their own: a change of the state does not wait for them.
import { join } from 'node:path'
import type { RouteCounts } from '../../model/comparison-counts.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { ComparisonStore, CountsQuery, ExamplesQuery } from '../../model/comparison-store.ts'
import type { Clock } from '../../model/ports.ts'
import { StoreUnavailable } from '../../model/state-store.ts'
import { parseRouteCounts, serializeExample } from '../comparison-schema.ts'
import { createEntries, createEntryFilter, expiryTime, matchesFilter, mergeByRoute } from '../counts-entries.ts'
import { createExampleId } from '../example-id.ts'
import { type ReportUnreadable, reportUnreadableOnce } from '../report-once.ts'
import { SerialQueue } from '../serial-queue.ts'
import { InvalidStoredValue } from '../state-schema.ts'
import type { StoreEvents } from '../store-events.ts'
import { CountsFiles } from './counts-files.ts'
import { ExampleFiles } from './example-files.ts'

type FileComparisonsOptions = {
  readonly folder: string
  readonly clock: Clock
  readonly events: StoreEvents
  /** Takes the lock of the folder. Rejects if another gateway has it. */
  readonly lock: () => Promise<unknown>
}

export class FileComparisons implements ComparisonStore {
  readonly #options: FileComparisonsOptions
  readonly #reportUnreadable: ReportUnreadable
  readonly #counts: CountsFiles
  readonly #examples: ExampleFiles
  readonly #queue = new SerialQueue()
  /** The writers of this process, which can still replace their entries. */
  readonly #activeWriters = new Set<string>()
  #isClosed = false

  constructor(options: FileComparisonsOptions) {
    this.#options = options
    this.#reportUnreadable = reportUnreadableOnce(options.events.failed)
    this.#counts = new CountsFiles(join(options.folder, 'counts'), this.#reportUnreadable)
    this.#examples = new ExampleFiles(join(options.folder, 'examples'), this.#reportUnreadable)
  }

  async saveCounts(writer: string, counts: readonly RouteCounts[]): Promise<void> {
    const periods = createEntries(writer, counts)
    this.#activeWriters.add(writer)
    await this.#write(async () => {
      for (const [start, entries] of periods) {
        const isNew = await this.#counts.put(start, entries)
        if (isNew) await this.#sweep()
      }
    })
  }

  counts(query: CountsQuery): Promise<readonly RouteCounts[]> {
    return this.#reportUnavailable('read', () => this.#readCounts(query))
  }

  async saveExamples(examples: readonly StoredExample[]): Promise<void> {
    const serialized = examples.map((example) => ({ example, text: serializeExample(example) }))
    await this.#write(async () => {
      for (const { example, text } of serialized)
        await this.#examples.put(example.context, createExampleId(example, text), text, this.#now())
    })
  }

  examples({ context, fingerprint }: ExamplesQuery): Promise<readonly StoredExample[]> {
    return this.#reportUnavailable('read', () => this.#examples.read(context, fingerprint, this.#now()))
  }

  /** This process has just taken the folder: removes expired files and folds the counts of stopped writers, in the background. */
  tidy(): void {
    const { folder, events } = this.#options
    const tidied = this.#queue.run(async () => {
      await this.#sweep()
      await this.#counts.fold(this.#activeWriters)
    })
    tidied.catch((error: unknown) => events.failed(new Error(`${folder} cannot be tidied`, { cause: error })))
  }

  /** Rejects further writes. Resolves when the pending ones have ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#queue.run(async () => {})
  }

  /** Reads one period after the other, so that requests are served between them. */
  async #readCounts(query: CountsQuery): Promise<readonly RouteCounts[]> {
    const filter = createEntryFilter(query)
    const counts: RouteCounts[] = []
    for (const start of await this.#counts.periods()) {
      if (start < query.from || expiryTime(start) <= this.#now()) continue
      for (const [name, text] of await this.#counts.read(start)) {
        if (matchesFilter(name, filter)) counts.push(...this.#parseEntry(start, text))
      }
    }
    return mergeByRoute(counts)
  }

  #parseEntry(start: number, text: string): readonly RouteCounts[] {
    try {
      return [parseRouteCounts(text)]
    } catch (error) {
      if (!(error instanceof InvalidStoredValue)) throw error
      this.#reportUnreadable(`an entry of ${start}.counts in ${this.#options.folder}`, error)
      return []
    }
  }

  async #write(task: () => Promise<void>): Promise<void> {
    if (this.#isClosed) throw new StoreUnavailable('the store is closed', undefined)
    return this.#queue.run(async () => {
      await this.#options.lock()
      await this.#reportUnavailable('written', task)
    })
  }

  async #sweep(): Promise<void> {
    await this.#counts.sweep(this.#now())
    await this.#examples.sweep(this.#now())
  }

  #now(): number {
    return this.#options.clock.wallTime()
  }

  /** A failure is reported to the caller only: it does not show whether the state can be written. */
  async #reportUnavailable<Result>(verb: 'read' | 'written', task: () => Promise<Result>): Promise<Result> {
    const { folder, events } = this.#options
    try {
      return await task()
    } catch (error) {
      if (verb === 'written') events.writeFailed?.(error)
      const message = error instanceof Error ? error.message : String(error)
      throw new StoreUnavailable(`${folder} cannot be ${verb}: ${message}`, error)
    }
  }
}
