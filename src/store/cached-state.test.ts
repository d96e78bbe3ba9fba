import { expect, it } from 'vitest'
import { EMPTY_STATE } from '../model/shared-state.ts'
import { CachedState } from './cached-state.ts'

it('ignores what arrives late', () => {
  const heard: number[] = []
  const known = new CachedState(() => {})
  known.onChange(({ generation }) => void heard.push(generation))
  for (const generation of [2, 1, 2, 3]) known.adopt({ ...EMPTY_STATE, generation })
  expect(heard).toEqual([2, 3])
  expect(known.current.generation).toBe(3)
})
