// What comparing finds, in Redis. It asks for little at a time: while Redis answers, it answers nobody else.

import { COUNT_PERIOD_MS, type RouteCounts } from '../../model/comparison-counts.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import {
  COUNTS_RETENTION_MS,
  type ComparisonStore,
  EXAMPLES_RETENTION_MS,
  MAX_DIFFERENCES_PER_CONTEXT,
  MAX_EXAMPLES_PER_DIFFERENCE,
} from '../../model/comparison-store.ts'
import { parseExample, parseRouteCounts, textOfExample } from '../comparison-shape.ts'
import { askedOf, type Entries, entriesOf, forgottenAt, merged } from '../counts-entries.ts'
import { digestOf, type ExampleId, idOf, newestFirst } from '../example-id.ts'
import { tellOnce } from '../once.ts'
import { NotThat } from '../shape.ts'
import { array } from './answers.ts'
import * as scripts from './comparison-scripts.ts'

export type RedisComparisonsOptions = {
  readonly prefix: string
  /** Runs a script on keys. */
  readonly ask: (script: string, names: readonly string[], args: readonly string[]) => Promise<unknown>
  /** The same for what must not be carried out once it was given up: older counts in the place of newer ones. */
  readonly askInTime: (script: string, names: readonly string[], args: readonly string[]) => Promise<unknown>
  readonly troubled: (error: Error) => void
}

type Found = ExampleId & { readonly example: StoredExample }

/** Entries and examples in one question: of some kilobytes each. */
const AT_ONCE = 50

export function redisComparisons({ prefix, ask, askInTime, troubled }: RedisComparisonsOptions): ComparisonStore {
  const once = tellOnce(troubled)

  return {
    saveCounts: async (writer, counts) => {
      for (const [start, entries] of entriesOf(writer, counts)) await saveStretch(start, entries)
    },
    counts: async ({ from, ...query }) => {
      const { begin, exceptEnd } = askedOf(query)
      const found: RouteCounts[] = []
      for (const start of (await listed(scripts.STRETCHES)).map(Number)) {
        if (start < from) continue
        const key = scripts.countsOf(start)
        const texts = array(await ask(scripts.COUNTS, [key], [begin, exceptEnd]))
        found.push(...understood(key, texts, parseRouteCounts))
      }
      return merged(found)
    },
    saveExamples: async (examples) => {
      const held = examples.map((one) => ({ one, text: textOfExample(one) }))
      for (const [context, all] of Map.groupBy(held, ({ one }) => one.context)) {
        for (const some of chunks(all)) await saveSome(context, some)
      }
    },
    examples: async ({ context, fingerprint }) => {
      const contexts = context === undefined ? await listed(scripts.EXAMPLES) : [context]
      const found: Found[] = []
      for (const one of contexts) found.push(...(await examplesOf(one, fingerprint)))
      return found.toSorted(newestFirst).map(({ example }) => example)
    },
  }

  async function saveStretch(start: number, entries: Entries): Promise<void> {
    const keys = [scripts.STRETCHES, scripts.countsOf(start)]
    const times = [start, forgottenAt(start), COUNT_PERIOD_MS + COUNTS_RETENTION_MS].map(String)
    for (const some of chunks([...entries])) await askInTime(scripts.SAVE_COUNTS, keys, [...times, ...some.flat()])
  }

  async function saveSome(
    context: string,
    some: readonly { readonly one: StoredExample; readonly text: string }[],
  ): Promise<void> {
    const keys = [scripts.EXAMPLES, scripts.examplesOf(context), scripts.idsOf(context)]
    const bounds = [EXAMPLES_RETENTION_MS, MAX_EXAMPLES_PER_DIFFERENCE, MAX_DIFFERENCES_PER_CONTEXT].map(String)
    const examples = some.flatMap(({ one, text }) => {
      const { at, of, digest } = idOf(one, text)
      return [String(at), `${of} ${digest}`, text]
    })
    await ask(scripts.SAVE_EXAMPLES, keys, [context, ...bounds, ...examples])
  }

  async function examplesOf(context: string, fingerprint: string | undefined): Promise<Found[]> {
    const of = fingerprint === undefined ? '' : digestOf(fingerprint)
    const ids = array(await ask(scripts.EXAMPLE_IDS, [scripts.idsOf(context)], [String(EXAMPLES_RETENTION_MS), of]))
    const key = scripts.examplesOf(context)
    const found: Found[] = []
    for (const some of chunks(ids)) {
      const texts = array(await ask(scripts.EXAMPLE_TEXTS, [key], some))
      for (const [index, id] of some.entries()) {
        // It had to make room for another one just now.
        if (texts[index] === '') continue
        for (const example of understood(key, [texts[index] ?? ''], parseExample)) {
          const [difference = '', digest = ''] = id.split(' ')
          found.push({ at: example.example.at, of: difference, digest, example })
        }
      }
    }
    return found
  }

  async function listed(index: string): Promise<readonly string[]> {
    return array(await ask(scripts.LISTED, [index], []))
  }

  function understood<T>(key: string, texts: readonly string[], parse: (text: string) => T): T[] {
    return texts.flatMap((text) => {
      try {
        return [parse(text)]
      } catch (error) {
        if (!(error instanceof NotThat)) throw error
        once(`something in {${prefix}}:${key}`, error)
        return []
      }
    })
  }
}

function chunks<T>(all: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(all.length / AT_ONCE) }, (_, index) =>
    all.slice(index * AT_ONCE, (index + 1) * AT_ONCE),
  )
}
