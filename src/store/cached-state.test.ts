import { expect, it } from 'vitest'
import { EMPTY_STATE } from '../model/shared-state.ts'
import { CachedState } from './cached-state.ts'

it('the cached state ignores a state of an older or the same generation', () => {
  const received: number[] = []
  const cache = new CachedState(() => {})
  cache.onChange(({ generation }) => void received.push(generation))
  for (const generation of [2, 1, 2, 3]) cache.adopt({ ...EMPTY_STATE, generation })
  expect(received).toEqual([2, 3])
  expect(cache.current.generation).toBe(3)
})
