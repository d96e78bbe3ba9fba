import { describe, expect, test } from 'vitest'
import type { EmbeddedFlags } from '../../../model/shared-state.ts'
import { FLAG_RULES, type FlagRule, rolloutAt } from '../flag-rules.test-kit.ts'
import { engineOf } from '../flags.test-kit.ts'
import { percentageAmong, withPercentage } from './embedded-writer.ts'

const other = { name: 'other', enabled: true, strategies: [rolloutAt(5)], project: 'default' }

function flagsOf({ flag, enabled, strategies }: Pick<FlagRule, 'flag' | 'enabled' | 'strategies'>): EmbeddedFlags {
  return {
    version: 2,
    features: [{ name: flag, enabled, strategies, variants: [], note: 'kept' }, other],
    segments: [{ id: 1 }],
  }
}

function moved(flags: EmbeddedFlags, flag: string, percentage: number) {
  const move = withPercentage(flags, flag, percentage)
  if (move.kind !== 'moved') throw new Error(move.reason)
  return move
}

describe('the percentage of one flag among others', () => {
  test.each(FLAG_RULES)('of $flag is $reads', (rule) => {
    expect(percentageAmong(flagsOf(rule), rule.flag).percentage).toBe(rule.reads)
    expect(engineOf(flagsOf(rule).features).percentage(rule.flag).percentage).toBe(rule.reads)
  })

  test.each(FLAG_RULES.filter(({ refused }) => refused === undefined))(
    'of $flag is set, and nothing else changes',
    (rule) => {
      const original = structuredClone(flagsOf(rule))
      const move = moved(original, rule.flag, 75)
      expect(original).toEqual(flagsOf(rule))
      expect(move.before).toBe(rule.reads)
      const { isForMatching: _, ...facts } = percentageAmong(move.flags, rule.flag)
      expect(facts).toEqual({ percentage: 75 })
      const [feature, ...others] = move.flags.features
      expect({ ...move.flags, features: others }).toEqual({ ...original, features: [other] })
      const strategies = rule.strategies.map((strategy) =>
        strategy.name === 'flexibleRollout'
          ? { ...strategy, parameters: { ...(strategy.parameters as object), rollout: '75' } }
          : strategy,
      )
      if (rule.strategies.length > 0)
        expect(feature).toEqual({ name: rule.flag, enabled: true, strategies, variants: [], note: 'kept' })
    },
  )

  test.each(FLAG_RULES.filter(({ refused }) => refused !== undefined))(
    'of $flag cannot be set, and the refusal has a hint',
    (rule) => {
      const move = withPercentage(flagsOf(rule), rule.flag, 75)
      if (move.kind !== 'refused') throw new Error('it was moved')
      expect(move.reason).toContain(`flag "${rule.flag}" `)
      expect(move.reason).toContain(rule.refused)
    },
  )

  test('creates a missing flag, which decides by it', () => {
    const { flags, ...facts } = moved({ version: 2, features: [other] }, 'new', 100)
    expect(facts.before).toBeNull()
    expect(flags.features[0]).toBe(other)
    expect(engineOf(flags.features).evaluate('new', { userId: '7' })).toBe('on')
  })

  test('leaves a flag switched off at 0 and switches it on above', () => {
    const off = flagsOf({ flag: 'orders', enabled: false, strategies: [rolloutAt(40)] })
    expect(moved(off, 'orders', 0).flags.features[0]).toMatchObject({ enabled: false })
    expect(moved(off, 'orders', 1).flags.features[0]).toMatchObject({ enabled: true })
  })

  test('is refused for a flag with several variants', () => {
    const variants = [{ name: 'red' }, { name: 'blue' }]
    const flags = { version: 2, features: [{ name: 'orders', enabled: true, strategies: [rolloutAt(40)], variants }] }
    expect(withPercentage(flags, 'orders', 1)).toMatchObject({ reason: expect.stringContaining('2 variants') })
  })

  test.each([-1, 101, 12.5, Number.NaN, Number.POSITIVE_INFINITY])(
    'is refused for the invalid value %d',
    (percentage) => {
      expect(withPercentage({ version: 2, features: [] }, 'orders', percentage)).toEqual({
        kind: 'refused',
        reason: `${percentage} is not a percentage: write a whole number from 0 to 100`,
      })
    },
  )

  test.each([
    [{ name: 'flexibleRollout', parameters: { rollout: '12.5' } }, 'without a whole percentage'],
    [{ name: 'flexibleRollout', parameters: {} }, 'without a whole percentage'],
    [{ name: 'flexibleRollout' }, 'without a whole percentage'],
    [{ name: 7 }, 'not in a form that this gateway understands'],
    [{ name: 'default', disabled: true }, 'has only strategies that are switched off'],
  ])('is refused for the strategy %o', (strategy, why) => {
    const flags = { version: 2, features: [{ name: 'orders', enabled: true, strategies: [strategy] }] }
    expect(percentageAmong(flags, 'orders')).toEqual({ percentage: null, why: expect.stringContaining(why) })
    expect(withPercentage(flags, 'orders', 1)).toMatchObject({ kind: 'refused', reason: expect.stringContaining(why) })
  })
})
