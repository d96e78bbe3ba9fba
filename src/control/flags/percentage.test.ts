import { expect, test } from 'vitest'
import { gradualRollout, percentageOf } from './percentage.ts'

const rollout = gradualRollout('orders', 100)
const flag = (...strategies: object[]) => ({ name: 'orders', enabled: true, strategies, variants: [] })
const staff = { contextName: 'userId', operator: 'IN', values: ['7'] }

test.each([
  ['constraints', flag({ ...rollout, constraints: [staff] })],
  ['segments', flag({ ...rollout, segments: [1] })],
  ['several strategies', flag(rollout, rollout)],
  ['stickiness to a field', flag({ ...rollout, parameters: { ...rollout.parameters, stickiness: 'userId' } })],
  ['a parent flag', { ...flag(rollout), dependencies: [{ feature: 'parent' }] }],
])('a percentage counts only matching users if the flag has %s', (_what, limited) => {
  expect(percentageOf(limited)).toMatchObject({ isForMatching: true })
})

test.each([
  ['one gradual rollout', flag(rollout)],
  ['no strategy', flag()],
  ['a second strategy that is switched off', flag(rollout, { ...rollout, constraints: [staff], disabled: true })],
  ['constraints, and is switched off', { ...flag({ ...rollout, constraints: [staff] }), enabled: false }],
])('a percentage counts all users if the flag has %s', (_what, open) => {
  expect(percentageOf(open)).not.toHaveProperty('isForMatching')
})
