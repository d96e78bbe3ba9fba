import { describe, expect, it } from 'vitest'
import {
  EXAMPLES_RETENTION_MS,
  MAX_DIFFERENCES_PER_CONTEXT,
  MAX_EXAMPLES_PER_DIFFERENCE,
} from '../model/comparison-store.ts'
import { type ExampleId, sift } from './example-id.ts'

const NOW = 10 * EXAMPLES_RETENTION_MS

describe('of the examples of a context', () => {
  it('the newest few of each difference are kept', () => {
    const ids = ['a', 'b'].flatMap((of) => range(MAX_EXAMPLES_PER_DIFFERENCE + 1).map((age) => id(of, age)))
    const { kept, surplus } = sift(ids, NOW)
    expect(surplus).toEqual([id('b', MAX_EXAMPLES_PER_DIFFERENCE), id('a', MAX_EXAMPLES_PER_DIFFERENCE)])
    expect(kept.map(({ at }) => NOW - at)).toEqual([0, 0, 1, 1, 2, 2])
  })

  it('the differences are kept whose newest example is newest', () => {
    const ids = range(MAX_DIFFERENCES_PER_CONTEXT + 2).map((number) => id(String(number), 10 + number))
    const [last, lastButOne] = [MAX_DIFFERENCES_PER_CONTEXT + 1, MAX_DIFFERENCES_PER_CONTEXT].map(String)
    expect(sift(ids, NOW).surplus).toEqual([ids.at(-2), ids.at(-1)])
    expect(sift([...ids, id(last!, 1)], NOW).surplus.map(({ of }) => of)).toEqual([
      String(MAX_DIFFERENCES_PER_CONTEXT - 1),
      lastButOne,
    ])
  })

  it('none is kept that is as old as that, and it takes no place', () => {
    const old = range(MAX_DIFFERENCES_PER_CONTEXT).map((number) => id(String(number), EXAMPLES_RETENTION_MS))
    const young = id('young', EXAMPLES_RETENTION_MS - 1)
    expect(sift([...old, young], NOW)).toMatchObject({ kept: [young], surplus: { length: old.length } })
  })
})

function id(of: string, age: number): ExampleId {
  return { at: NOW - age, of, digest: `${of}${age}` }
}

function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index)
}
