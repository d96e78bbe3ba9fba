import { describe, expect, it } from 'vitest'
import {
  EXAMPLES_RETENTION_MS,
  MAX_DIFFERENCES_PER_CONTEXT,
  MAX_EXAMPLES_PER_DIFFERENCE,
} from '../model/comparison-store.ts'
import { type ExampleId, selectExamples } from './example-id.ts'

const NOW = 10 * EXAMPLES_RETENTION_MS

describe('selectExamples', () => {
  it('retains the newest examples of each difference', () => {
    const ids = ['a', 'b'].flatMap((name) => range(MAX_EXAMPLES_PER_DIFFERENCE + 1).map((age) => id(name, age)))
    const { retained, surplus } = selectExamples(ids, NOW)
    expect(surplus).toEqual([id('b', MAX_EXAMPLES_PER_DIFFERENCE), id('a', MAX_EXAMPLES_PER_DIFFERENCE)])
    expect(retained.map((retainedId) => NOW - retainedId.at)).toEqual([0, 0, 1, 1, 2, 2])
  })

  it('retains the differences with the newest examples', () => {
    const ids = range(MAX_DIFFERENCES_PER_CONTEXT + 2).map((number) => id(String(number), 10 + number))
    const [last, lastButOne] = [MAX_DIFFERENCES_PER_CONTEXT + 1, MAX_DIFFERENCES_PER_CONTEXT].map(String)
    expect(selectExamples(ids, NOW).surplus).toEqual([ids.at(-2), ids.at(-1)])
    expect(selectExamples([...ids, id(last!, 1)], NOW).surplus.map(({ difference: of }) => of)).toEqual([
      String(MAX_DIFFERENCES_PER_CONTEXT - 1),
      lastButOne,
    ])
  })

  it('removes expired examples, which do not count for the limits', () => {
    const old = range(MAX_DIFFERENCES_PER_CONTEXT).map((number) => id(String(number), EXAMPLES_RETENTION_MS))
    const young = id('young', EXAMPLES_RETENTION_MS - 1)
    expect(selectExamples([...old, young], NOW)).toMatchObject({ retained: [young], surplus: { length: old.length } })
  })
})

function id(of: string, age: number): ExampleId {
  return { at: NOW - age, difference: of, digest: `${of}${age}` }
}

function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index)
}
