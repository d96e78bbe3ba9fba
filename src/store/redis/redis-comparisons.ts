// Counts and examples of comparisons in Redis. Each command reads or writes little: Redis runs one command at a time.
import { COUNT_PERIOD_MS, type RouteCounts } from '../../model/comparison-counts.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import {
  COUNTS_RETENTION_MS,
  type ComparisonStore,
  type CountsQuery,
  EXAMPLES_RETENTION_MS,
  type ExamplesQuery,
  MAX_DIFFERENCES_PER_CONTEXT,
  MAX_EXAMPLES_PER_DIFFERENCE,
} from '../../model/comparison-store.ts'
import { parseExample, parseRouteCounts, serializeExample } from '../comparison-schema.ts'
import { createEntries, createEntryFilter, type Entries, expiryTime, mergeByRoute } from '../counts-entries.ts'
import { createExampleId, digestOf, type ExampleId, newestFirst } from '../example-id.ts'
import { type ReportUnreadable, reportUnreadableOnce } from '../report-once.ts'
import { InvalidStoredValue } from '../state-schema.ts'
import {
  COUNTS,
  countsKey,
  EXAMPLE_IDS,
  EXAMPLE_TEXTS,
  EXAMPLES,
  exampleIdsKey,
  examplesKey,
  LISTED,
  SAVE_COUNTS,
  SAVE_EXAMPLES,
  STRETCHES,
} from './comparison-scripts.ts'
import type { RedisClient } from './redis-client.ts'
import type { RedisWriter } from './redis-writer.ts'
import { asStrings } from './replies.ts'

type RedisComparisonsOptions = {
  readonly client: RedisClient
  readonly writer: RedisWriter
  readonly prefix: string
  readonly reportError: (error: Error) => void
}

type IdentifiedExample = ExampleId & { readonly example: StoredExample }
type SerializedExample = { readonly example: StoredExample; readonly text: string }

/** A command contains at most this many entries or examples, of some kilobytes each. */
const CHUNK_SIZE = 50

export class RedisComparisons implements ComparisonStore {
  readonly #client: RedisClient
  readonly #writer: RedisWriter
  readonly #prefix: string
  readonly #reportUnreadable: ReportUnreadable

  constructor({ client, writer, prefix, reportError }: RedisComparisonsOptions) {
    this.#client = client
    this.#writer = writer
    this.#prefix = prefix
    this.#reportUnreadable = reportUnreadableOnce(reportError)
  }

  async saveCounts(writer: string, counts: readonly RouteCounts[]): Promise<void> {
    for (const [start, entries] of createEntries(writer, counts)) await this.#savePeriod(start, entries)
  }

  async counts({ from, ...query }: CountsQuery): Promise<readonly RouteCounts[]> {
    const { prefix, excludedSuffix } = createEntryFilter(query)
    const counts: RouteCounts[] = []
    for (const start of (await this.#list(STRETCHES)).map(Number)) {
      if (start < from) continue
      const key = countsKey(start)
      const texts = asStrings(await this.#run(COUNTS, [key], [prefix, excludedSuffix]))
      counts.push(...this.#parseAll(key, texts, parseRouteCounts))
    }
    return mergeByRoute(counts)
  }

  async saveExamples(examples: readonly StoredExample[]): Promise<void> {
    const serialized = examples.map((example) => ({ example, text: serializeExample(example) }))
    for (const [context, group] of Map.groupBy(serialized, ({ example }) => example.context)) {
      for (const chunk of chunksOf(group)) await this.#saveChunk(context, chunk)
    }
  }

  async examples({ context, fingerprint }: ExamplesQuery): Promise<readonly StoredExample[]> {
    const contexts = context === undefined ? await this.#list(EXAMPLES) : [context]
    const examples: IdentifiedExample[] = []
    for (const name of contexts) examples.push(...(await this.#readExamples(name, fingerprint)))
    return examples.toSorted(newestFirst).map(({ example }) => example)
  }

  async #savePeriod(start: number, entries: Entries): Promise<void> {
    const keys = [STRETCHES, countsKey(start)]
    const times = [start, expiryTime(start), COUNT_PERIOD_MS + COUNTS_RETENTION_MS].map(String)
    // Old counts must not replace newer ones: a write that was given up must not happen later.
    for (const chunk of chunksOf([...entries]))
      await this.#writer.runBeforeDeadline('the counts', SAVE_COUNTS, [...times, ...chunk.flat()], keys)
  }

  async #saveChunk(context: string, chunk: readonly SerializedExample[]): Promise<void> {
    const keys = [EXAMPLES, examplesKey(context), exampleIdsKey(context)]
    const bounds = [EXAMPLES_RETENTION_MS, MAX_EXAMPLES_PER_DIFFERENCE, MAX_DIFFERENCES_PER_CONTEXT].map(String)
    const examples = chunk.flatMap(({ example, text }) => {
      const id = createExampleId(example, text)
      return [String(id.at), `${id.difference} ${id.digest}`, text]
    })
    await this.#run(SAVE_EXAMPLES, keys, [context, ...bounds, ...examples])
  }

  async #readExamples(context: string, fingerprint: string | undefined): Promise<IdentifiedExample[]> {
    const wanted = fingerprint === undefined ? '' : digestOf(fingerprint)
    const ids = asStrings(
      await this.#run(EXAMPLE_IDS, [exampleIdsKey(context)], [String(EXAMPLES_RETENTION_MS), wanted]),
    )
    const key = examplesKey(context)
    const examples: IdentifiedExample[] = []
    for (const chunk of chunksOf(ids)) {
      const texts = asStrings(await this.#run(EXAMPLE_TEXTS, [key], chunk))
      for (const [index, id] of chunk.entries()) {
        // A newer example has evicted this one meanwhile.
        if (texts[index] === '') continue
        for (const example of this.#parseAll(key, [texts[index] ?? ''], parseExample)) {
          const [difference = '', digest = ''] = id.split(' ')
          examples.push({ at: example.example.at, difference, digest, example })
        }
      }
    }
    return examples
  }

  async #list(index: string): Promise<readonly string[]> {
    return asStrings(await this.#run(LISTED, [index], []))
  }

  #run(script: string, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    return this.#client.run(script, args, { keys })
  }

  /** Leaves out and reports a text that cannot be read. */
  #parseAll<Value>(key: string, texts: readonly string[], parse: (text: string) => Value): Value[] {
    return texts.flatMap((text) => {
      try {
        return [parse(text)]
      } catch (error) {
        if (!(error instanceof InvalidStoredValue)) throw error
        this.#reportUnreadable(`a value in {${this.#prefix}}:${key}`, error)
        return []
      }
    })
  }
}

function chunksOf<Item>(items: readonly Item[]): Item[][] {
  return Array.from({ length: Math.ceil(items.length / CHUNK_SIZE) }, (_, index) =>
    items.slice(index * CHUNK_SIZE, (index + 1) * CHUNK_SIZE),
  )
}
