// What comparing finds, in the memory of one process.
import type { ComparisonStore } from '../../model/comparison-store.ts'
import { parseExample, parseRouteCounts, textOfExample } from '../comparison-shape.ts'
import { askedOf, type Entries, entriesOf, forgottenAt, isAsked, merged } from '../counts-entries.ts'
import { digestOf, type ExampleId, idOf, newestFirst, sift } from '../example-id.ts'

export type ComparisonMemory = {
  /** By the start of their stretch. */
  readonly stretches: Map<number, Entries>
  /** By context. */
  readonly examples: Map<string, readonly HeldExample[]>
}
type HeldExample = ExampleId & { readonly text: string }

export function comparisonMemory(): ComparisonMemory {
  return { stretches: new Map(), examples: new Map() }
}

/** @param reach rejects while the memory is cut off */
export function memoryComparisons(
  { stretches, examples }: ComparisonMemory,
  reach: () => Promise<void>,
  wallTime: () => number,
): ComparisonStore {
  return {
    saveCounts: async (writer, counts) => {
      const ofWriter = entriesOf(writer, counts)
      await reach()
      for (const [start, entries] of ofWriter) {
        stretches.set(start, new Map([...(stretches.get(start) ?? []), ...entries]))
      }
      forget()
    },
    counts: async (query) => {
      await reach()
      forget()
      const asked = askedOf(query)
      return merged(
        [...stretches]
          .filter(([start]) => start >= query.from)
          .flatMap(([, entries]) => [...entries])
          .filter(([name]) => isAsked(name, asked))
          .map(([, text]) => parseRouteCounts(text)),
      )
    },
    saveExamples: async (given) => {
      const held = given.map((one) => {
        const text = textOfExample(one)
        return [one.context, { ...idOf(one, text), text }] as const
      })
      await reach()
      for (const [context, one] of held) {
        const others = (examples.get(context) ?? []).filter(({ digest }) => digest !== one.digest)
        examples.set(context, sift([...others, one], wallTime()).kept)
      }
    },
    examples: async ({ context, fingerprint }) => {
      await reach()
      const of = fingerprint === undefined ? undefined : digestOf(fingerprint)
      const asked = context === undefined ? [...examples.values()] : [examples.get(context) ?? []]
      return asked
        .flatMap((held) => sift(held, wallTime()).kept)
        .filter((one) => of === undefined || one.of === of)
        .toSorted(newestFirst)
        .map(({ text }) => parseExample(text))
    },
  }

  function forget(): void {
    for (const start of stretches.keys()) if (forgottenAt(start) <= wallTime()) stretches.delete(start)
  }
}
