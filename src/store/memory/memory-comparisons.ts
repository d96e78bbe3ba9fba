// Counts and examples of comparisons in the memory of one process.
import type { RouteCounts } from '../../model/comparison-counts.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { ComparisonStore, CountsQuery, ExamplesQuery } from '../../model/comparison-store.ts'
import { parseExample, parseRouteCounts, serializeExample } from '../comparison-schema.ts'
import {
  createEntries,
  createEntryFilter,
  type Entries,
  expiryTime,
  matchesFilter,
  mergeByRoute,
} from '../counts-entries.ts'
import { createExampleId, digestOf, type ExampleId, newestFirst, selectExamples } from '../example-id.ts'

/** The comparisons that all stores over one memory share. */
export class ComparisonMemory {
  /** By the start of their period. */
  readonly periods = new Map<number, Entries>()
  /** By context. */
  readonly examples = new Map<string, readonly MemoryExample[]>()
}

type MemoryExample = ExampleId & { readonly text: string }

export class MemoryComparisons implements ComparisonStore {
  readonly #memory: ComparisonMemory
  readonly #connect: () => Promise<void>
  readonly #wallTime: () => number

  /** @param connect rejects while the memory cannot be reached */
  constructor(memory: ComparisonMemory, connect: () => Promise<void>, wallTime: () => number) {
    this.#memory = memory
    this.#connect = connect
    this.#wallTime = wallTime
  }

  async saveCounts(writer: string, counts: readonly RouteCounts[]): Promise<void> {
    const newEntries = createEntries(writer, counts)
    await this.#connect()
    const { periods } = this.#memory
    for (const [start, entries] of newEntries) periods.set(start, new Map([...(periods.get(start) ?? []), ...entries]))
    this.#removeExpired()
  }

  async counts({ from, ...query }: CountsQuery): Promise<readonly RouteCounts[]> {
    await this.#connect()
    this.#removeExpired()
    const filter = createEntryFilter(query)
    const entries = [...this.#memory.periods].filter(([start]) => start >= from).flatMap(([, period]) => [...period])
    return mergeByRoute(
      entries.filter(([name]) => matchesFilter(name, filter)).map(([, text]) => parseRouteCounts(text)),
    )
  }

  async saveExamples(examples: readonly StoredExample[]): Promise<void> {
    const serialized = examples.map((example) => {
      const text = serializeExample(example)
      return { context: example.context, stored: { ...createExampleId(example, text), text } }
    })
    await this.#connect()
    for (const { context, stored } of serialized) {
      const others = (this.#memory.examples.get(context) ?? []).filter(({ digest }) => digest !== stored.digest)
      this.#memory.examples.set(context, selectExamples([...others, stored], this.#wallTime()).retained)
    }
  }

  async examples({ context, fingerprint }: ExamplesQuery): Promise<readonly StoredExample[]> {
    await this.#connect()
    const difference = fingerprint === undefined ? undefined : digestOf(fingerprint)
    const { examples } = this.#memory
    const groups = context === undefined ? [...examples.values()] : [examples.get(context) ?? []]
    return groups
      .flatMap((group) => selectExamples(group, this.#wallTime()).retained)
      .filter((example) => difference === undefined || example.difference === difference)
      .toSorted(newestFirst)
      .map(({ text }) => parseExample(text))
  }

  #removeExpired(): void {
    const { periods } = this.#memory
    for (const start of periods.keys()) if (expiryTime(start) <= this.#wallTime()) periods.delete(start)
  }
}
