import fc from 'fast-check'
import { Unleash } from 'unleash-client'
import { describe, expect, test } from 'vitest'
import { FlagEngine } from './flag-engine.ts'
import { FlagRepository } from './flag-repository.ts'
import { engineOf, evaluatorOf, recordedEvents, rollout } from './flags.test-kit.ts'

const keys = Array.from({ length: 10_000 }, (_, i) => `person-${i}`)

describe('the canary percentage', () => {
  test('never moves a user back when it is raised', () => {
    const engines = Array.from({ length: 101 }, (_, percent) => engineOf([rollout('orders', percent)]))
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.nat(100), fc.nat(100), (userId, a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a]
        if (engines[low]!.evaluate('orders', { userId }) === 'on')
          expect(engines[high]!.evaluate('orders', { userId })).toBe('on')
      }),
    )
  })

  test.each(['user', 'session'])('selects ten percent of 10,000 users by their %s id, within 0.9 points', (kind) => {
    const flags = engineOf([rollout('migrate-catalog', 10)])
    const on = keys.filter((key) => {
      const context = kind === 'user' ? { userId: key } : { sessionId: key }
      return flags.evaluate('migrate-catalog', context) === 'on'
    })
    expect(Math.abs(on.length / 100 - 10)).toBeLessThanOrEqual(0.9)
  })

  test('selects the same users on two gateways', () => {
    const [first, second] = [engineOf([rollout('orders', 37)]), engineOf([rollout('orders', 37)])]
    for (const userId of keys) expect(second.evaluate('orders', { userId })).toBe(first.evaluate('orders', { userId }))
  })

  test('selects no user at 0 and all users at 100', () => {
    const flags = engineOf([rollout('none', 0), rollout('all', 100)])
    for (const userId of keys) {
      expect(flags.evaluate('none', { userId })).toBe('off')
      expect(flags.evaluate('all', { userId })).toBe('on')
    }
  })

  test('selects different users for two flags', () => {
    const flags = engineOf([rollout('catalog', 10), rollout('orders', 10)])
    const both = keys.filter(
      (userId) => flags.evaluate('catalog', { userId }) === 'on' && flags.evaluate('orders', { userId }) === 'on',
    )
    expect(both.length).toBeLessThan(200)
  })
})

describe('the answer of a flag', () => {
  test('is stale while no flags were ever read', () => {
    const { events } = recordedEvents()
    expect(new FlagEngine(events).evaluate('orders', { userId: '7' })).toBe('stale')
  })

  test.each(['nowhere', 'constructor', '__proto__', 'toString', ''])('is missing for the unknown flag %j', (flag) => {
    expect(engineOf([rollout('orders', 100)]).evaluate(flag, { userId: '7' })).toBe('missing')
  })

  test('is the same for a service that asks Unleash with the same context', () => {
    const constraint = { contextName: 'context', operator: 'IN', values: ['catalog'], inverted: false }
    const features = [
      rollout('plain', 50),
      rollout('by-address', 50, 'remoteAddress'),
      { name: 'bare', enabled: true, strategies: [] },
      { name: 'off', enabled: false, strategies: [] },
      { name: 'beta', enabled: true, strategies: [{ name: 'userWithId', parameters: { userIds: '1,2' } }] },
      { name: 'bounded', enabled: true, strategies: [{ name: 'default', parameters: {}, constraints: [constraint] }] },
      { name: 'segmented', enabled: true, strategies: [{ name: 'default', parameters: {}, segments: [3] }] },
      { name: 'child', enabled: true, strategies: [], dependencies: [{ feature: 'plain' }] },
    ]
    const segments = [{ id: 3, constraints: [constraint] }]
    const flags = engineOf(features, segments)
    const service = new Unleash({
      appName: 'strangler-gateway',
      url: 'http://unleash.invalid/api/',
      disableMetrics: true,
      disableAutoStart: true,
      skipInstanceCountWarning: true,
      repository: new FlagRepository({ version: 2, features, segments } as never),
    })
    Object.assign(service, { ready: true })
    const field = fc.option(fc.string({ minLength: 1, maxLength: 12 }), { nil: undefined })
    fc.assert(
      fc.property(field, field, fc.constantFrom('catalog', 'orders'), (userId, remoteAddress, context) => {
        const flagContext = { userId: userId ?? 'x', properties: { context }, ...(remoteAddress && { remoteAddress }) }
        for (const { name } of features as { name: string }[])
          expect(flags.evaluate(name, flagContext)).toBe(service.isEnabled(name, flagContext) ? 'on' : 'off')
      }),
    )
  })

  test('is off, with one reported bug, if the evaluation throws', () => {
    const { events, of } = recordedEvents()
    const engine = new FlagEngine(events)
    engine.useEvaluator(evaluatorOf([{ name: 'broken', enabled: true, strategies: [{ name: 'flexibleRollout' }] }]))
    expect(engine.evaluate('broken', { userId: '7' })).toBe('off')
    expect(engine.evaluate('broken', { userId: '7' })).toBe('off')
    expect(of('bug')).toHaveLength(1)
  })
})

describe('isFullyOn', () => {
  const constraint = { contextName: 'userId', operator: 'IN', values: ['1'], inverted: false }
  const strategy = (parameters: object, more: object = {}) => ({ name: 'flexibleRollout', parameters, ...more })
  test.each([
    ['a flag without strategies', true, { enabled: true, strategies: [] }],
    ['a rollout to 100', true, { enabled: true, strategies: [strategy({ rollout: '100' })] }],
    [
      'one of two that is for all',
      true,
      { enabled: true, strategies: [strategy({ rollout: 5 }), { name: 'default' }] },
    ],
    ['a rollout to 99', false, { enabled: true, strategies: [strategy({ rollout: 99 })] }],
    ['a flag that is off', false, { enabled: false, strategies: [] }],
    ['a constraint', false, { enabled: true, strategies: [strategy({ rollout: 100 }, { constraints: [constraint] })] }],
    ['a rollout by user id', false, { enabled: true, strategies: [strategy({ rollout: 100, stickiness: 'userId' })] }],
    ['a flag with a parent', false, { enabled: true, strategies: [], dependencies: [{ feature: 'x' }] }],
  ])('is %s: %s', (_what, expected, feature) => {
    expect(engineOf([{ name: 'f', ...feature }]).isFullyOn('f')).toBe(expected)
  })

  test('is false for an unknown flag', () => {
    expect(engineOf([]).isFullyOn('f')).toBe(false)
  })
})

describe('the trace of a flag', () => {
  test('has the bucket that unleash-client uses, for all users at every percentage', () => {
    const engines = Array.from({ length: 101 }, (_, percent) => engineOf([rollout('orders', percent)]))
    for (const userId of keys.slice(0, 500)) {
      const bucket = engines[0]!.trace('orders', { userId }).strategies[0]?.rollout?.bucket
      expect(bucket).toBeGreaterThanOrEqual(1)
      for (const [percent, flags] of engines.entries())
        expect(flags.evaluate('orders', { userId })).toBe(bucket! <= percent ? 'on' : 'off')
    }
  })

  test('has the hashed value: the user before the session, or the field that the strategy names', () => {
    const flags = engineOf([rollout('a', 50), rollout('b', 50, 'remoteAddress'), rollout('c', 50, 'tenant')])
    const context = { userId: '7', sessionId: 's', remoteAddress: '192.0.2.1', properties: { tenant: 'acme' } }
    const hashed = ['a', 'b', 'c'].map((flag) => flags.trace(flag, context).strategies[0]?.rollout?.value)
    expect(hashed).toEqual(['7', '192.0.2.1', 'acme'])
    expect(flags.trace('a', { sessionId: 's' }).strategies[0]?.rollout?.value).toBe('s')
    expect(flags.trace('a', {}).strategies[0]?.rollout).toMatchObject({ value: undefined, bucket: undefined })
  })

  test('distinguishes an unknown flag, a flag that is off, and one whose parent forbids it', () => {
    const flags = engineOf([
      { name: 'off', enabled: false, strategies: [] },
      { name: 'child', enabled: true, strategies: [], dependencies: [{ feature: 'off' }] },
    ])
    expect(flags.trace('nowhere', {})).toMatchObject({ known: false, answer: 'missing' })
    expect(flags.trace('off', {})).toMatchObject({ known: true, enabled: false, answer: 'off' })
    expect(flags.trace('child', {})).toMatchObject({ known: true, enabled: true, parentsAllow: false, answer: 'off' })
  })

  test('has the strategy that allows', () => {
    const constraint = { contextName: 'host', operator: 'IN', values: ['a'], inverted: false }
    const flags = engineOf([
      {
        name: 'f',
        enabled: true,
        strategies: [
          { name: 'default', parameters: {}, constraints: [constraint] },
          { name: 'default', parameters: {} },
        ],
      },
    ])
    expect(flags.trace('f', { properties: { host: 'b' } })).toMatchObject({
      answer: 'on',
      strategies: [
        { allows: false, constraints: 1 },
        { allows: true, constraints: 0 },
      ],
    })
  })
})
