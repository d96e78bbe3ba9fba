import { describe, expect, test } from 'vitest'
import type { Field } from '../../model/comparison.ts'
import { fingerprintOf } from '../stats/fingerprint.ts'
import {
  countsOf,
  exampleOf,
  FAULTY,
  HOUR,
  masked,
  NOW,
  PRICE,
  ROUTE,
  reportsOn,
  STAMP,
  seen,
  stateWith,
  storedExampleOf,
  THIS_HOUR,
} from './comparison-reports.test-kit.ts'

const DAY = 24 * HOUR
const PRICE_PRINT = fingerprintOf('catalog', ROUTE, PRICE)

test('parity and differences contain the first hour of the window with data, or null without data', async () => {
  const earlier = countsOf({ matched: 1 }, { start: THIS_HOUR - 2 * HOUR })
  const reports = reportsOn({ counts: [FAULTY, earlier] })
  const { contexts } = await reports.parity({ windowMs: DAY, target: 0.999 })
  expect(contexts.map(({ dataSince }) => dataSince)).toEqual([THIS_HOUR - 2 * HOUR, null])
  expect(await reports.differences('catalog', DAY)).toMatchObject({ dataSince: THIS_HOUR - 2 * HOUR })
  expect(await reports.differences('orders', DAY)).toMatchObject({ dataSince: null })
})

describe('parity', () => {
  const asked = { windowMs: DAY, target: 0.999 }

  test('is the share that matches with its interval, and where each eligible request is', async () => {
    const view = await reportsOn({ counts: [FAULTY] }).parity(asked)
    expect(view).toMatchObject({ from: NOW - DAY - HOUR / 2, to: NOW, target: 0.999 })
    const [catalog] = view.contexts
    expect(catalog).toMatchObject({
      context: 'catalog',
      pairs: 1000,
      conclusive: 1000,
      accounting: {
        eligible: 1010,
        matched: 900,
        mismatched: 60,
        noise: 30,
        inconclusive: 0,
        ignored: 10,
        uncomparable: 2,
        shed: 3,
        failed: 5,
      },
      reasons: { uncomparable: { streaming: 2 }, shed: { lag: 3 }, failed: { unavailable: 5 } },
    })
    expect(catalog?.matching?.share).toBeCloseTo(0.94, 9)
    expect(catalog?.matching?.lower).toBeCloseTo(0.9236, 3)
    expect(catalog?.atLeast).toBe(catalog?.matching?.lower)
    expect(catalog?.untilTarget).toBeGreaterThan(60_000)
  })

  test('of a context that was never shadowed is nothing, and not perfect', async () => {
    const { contexts } = await reportsOn({ counts: [FAULTY] }).parity(asked)
    expect(contexts[1]).toMatchObject({ context: 'orders', matching: null, atLeast: 0, conclusive: 0, routes: [] })
    expect(contexts[1]?.untilTarget).toBe(3838)
  })

  test('judges each route by itself, and adds up what came of it', async () => {
    // In the one route the field is noise, in the other it is a fault: together they would be neither.
    const other = countsOf(
      { matched: 940, pairs: 1000, differing: { [STAMP]: 60 }, fields: { [STAMP]: seen(60) } },
      { route: 'GET /products/:id' },
    )
    const { contexts } = await reportsOn({ counts: [FAULTY, other] }).parity(asked)
    const [catalog] = contexts
    expect(catalog?.routes.map(({ route, accounting }) => [route, accounting.mismatched, accounting.noise])).toEqual([
      [ROUTE, 60, 30],
      ['GET /products/:id', 60, 0],
    ])
    expect(catalog?.accounting).toMatchObject({ eligible: 2010, mismatched: 120, noise: 30, matched: 1840 })
  })

  test('goes by what operators have ruled', async () => {
    const state = () => stateWith(PRICE, { ruling: 'noise' })
    const { contexts } = await reportsOn({ counts: [FAULTY] }, { state }).parity(asked)
    expect(contexts[0]?.accounting).toMatchObject({ mismatched: 0, noise: 90 })
  })

  test('is of whole hours, from the one in which the window begins', async () => {
    const at = (hoursAgo: number) => countsOf({ matched: 1 }, { start: THIS_HOUR - hoursAgo * HOUR })
    const { contexts, from } = await reportsOn({ counts: [at(3), at(2), at(1), at(0)] }).parity({
      windowMs: 2 * HOUR,
      target: 0.999,
    })
    expect(from).toBe(THIS_HOUR - 2 * HOUR)
    expect(contexts[0]?.accounting.matched).toBe(3)
  })
})

describe('differences', () => {
  test('have one row for each field, with its share, its noise and its newest values', async () => {
    const { differences, ...view } = await reportsOn({ counts: [FAULTY], examples: [storedExampleOf()] }).differences(
      'catalog',
      DAY,
    )
    expect(view).toMatchObject({ context: 'catalog', comparisons: 1000, pairs: 1000, fieldsLeftOut: 0 })
    expect(differences.map(({ path, verdict }) => [path, verdict])).toEqual([
      ['$.items[*].price', 'real'],
      ['$.generatedAt', 'noise'],
    ])
    expect(differences[0]).toMatchObject({
      fingerprint: PRICE_PRINT,
      route: ROUTE,
      kind: 'value',
      sides: { count: 60, of: 1000, share: { share: 0.06 } },
      self: { count: 0, of: 1000, share: { share: 0, lower: 0 } },
      note: null,
      state: 'open',
      firstSeen: THIS_HOUR,
      lastSeen: NOW,
      example: { at: NOW, legacy: '10.00', service: '10.01' },
    })
    expect(differences[1]?.example).toBeNull()
  })

  test('of several gateways and hours are one', async () => {
    const earlier = { ...FAULTY, start: THIS_HOUR - HOUR }
    const { differences } = await reportsOn({ counts: [earlier, FAULTY] }).differences('catalog', DAY)
    expect(differences).toHaveLength(2)
    expect(differences[0]?.sides).toMatchObject({ count: 120, of: 2000 })
  })

  test('are shown the real ones first, then open ones, then noise, and last what is resolved', async () => {
    const fields: Readonly<Record<Field, ReturnType<typeof seen>>> = {
      'value $.mended': seen(200),
      'value $.noisy': seen(500, 500),
      'value $.rare': seen(2),
      'value $.wrong': seen(100),
      'value $.worse': seen(150),
    }
    const state = () => stateWith('value $.mended', { resolvedAt: NOW })
    const counts = [countsOf({ matched: 1000, pairs: 1000, fields })]
    const { differences } = await reportsOn({ counts }, { state }).differences('catalog', DAY)
    expect(differences.map(({ path }) => path)).toEqual(['$.worse', '$.wrong', '$.rare', '$.noisy', '$.mended'])
  })

  test('in which only legacy differs from itself are none between the sides', async () => {
    const counts = [countsOf({ matched: 100, pairs: 100, fields: { [STAMP]: seen(0, 5) } })]
    expect((await reportsOn({ counts }).differences('catalog', DAY)).differences).toEqual([])
  })

  test('are what operators rule, who are named', async () => {
    const state = () => stateWith(PRICE, { ruling: 'noise', reason: 'rounding', at: NOW - 1 })
    const { differences } = await reportsOn({ counts: [FAULTY] }, { state }).differences('catalog', DAY)
    expect(differences.find(({ fingerprint }) => fingerprint === PRICE_PRINT)).toMatchObject({
      verdict: 'noise',
      note: { by: 'ada', reason: 'rounding', at: NOW - 1, ruling: 'noise', resolvedAt: null },
    })
  })

  test('of before hours are known until they are forgotten', async () => {
    const counts = [{ ...FAULTY, start: THIS_HOUR - 30 * HOUR }]
    expect((await reportsOn({ counts }).differences('catalog', DAY)).differences).toEqual([])
    expect((await reportsOn({ counts }).differences('catalog', 2 * DAY)).differences).toHaveLength(2)
  })
})

describe('a difference that was mended', () => {
  const stateAt = async (resolvedAt: number, field = PRICE, counts = [FAULTY]) => {
    const state = () => stateWith(field, { resolvedAt })
    const { differences } = await reportsOn({ counts }, { state }).differences('catalog', DAY)
    return differences.find(({ kind, path }) => `${kind} ${path}` === field)?.state
  }

  test('is resolved while it was not seen since', async () => {
    expect(await stateAt(NOW)).toBe('resolved')
    expect(await stateAt(NOW + 1)).toBe('resolved')
  })

  test('is open again by itself once it is seen', async () => {
    expect(await stateAt(NOW - 1)).toBe('reopened')
  })

  test('is not reopened by legacy differing from itself', async () => {
    const earlier = countsOf(
      { matched: 900, pairs: 10, differing: { [PRICE]: 9 }, fields: { [PRICE]: seen(9, 0, NOW - HOUR, NOW - HOUR) } },
      { start: THIS_HOUR - HOUR },
    )
    const since = countsOf({ matched: 900, pairs: 10, fields: { [PRICE]: seen(0, 1, NOW, NOW) } })
    expect(await stateAt(NOW - HOUR, PRICE, [earlier, since])).toBe('resolved')
  })
})

describe('one difference', () => {
  test('is found by its fingerprint, in notes, in examples and in counts', async () => {
    const found = { fingerprint: PRICE_PRINT, context: 'catalog', route: ROUTE, field: PRICE }
    const state = () => stateWith(PRICE, { ruling: 'noise' })
    expect(await reportsOn({}, { state }).find(PRICE_PRINT)).toEqual(found)
    expect(await reportsOn({ examples: [storedExampleOf()] }).find(PRICE_PRINT)).toEqual(found)
    expect(await reportsOn({ counts: [{ ...FAULTY, start: 0 }] }).find(PRICE_PRINT)).toEqual(found)
  })

  test.each(['0123456789', 'ABCDEF0123', '../../status', '', '__proto__', PRICE_PRINT.slice(1)])(
    'is not found by %j',
    async (fingerprint) => {
      const reports = reportsOn({ counts: [FAULTY], examples: [storedExampleOf()] })
      expect(await reports.find(fingerprint)).toBeUndefined()
    },
  )

  test.each(['', '*', 'x'.repeat(10_000), '../../status', 'ABCDEF0123', '__proto__'])(
    'is not looked for in the store by what is no fingerprint, such as %.20j',
    async (fingerprint) => {
      const asked = () => Promise.reject(new Error('it was asked'))
      const reports = reportsOn({}, { store: { counts: asked, examples: asked } })
      expect(await reports.find(fingerprint)).toBeUndefined()
    },
  )

  test('of a context that the config no longer has is none', async () => {
    const reports = reportsOn({ counts: [FAULTY], examples: [storedExampleOf()] }, { contexts: () => ['orders'] })
    expect(await reports.find(PRICE_PRINT)).toBeUndefined()
  })

  test('says which fields of its examples are noise', async () => {
    const stamped = storedExampleOf(PRICE, {
      differences: [...exampleOf().differences, ...storedExampleOf(STAMP).example.differences],
    })
    const reports = reportsOn({ counts: [FAULTY], examples: [stamped] })
    expect(await reports.difference((await reports.find(PRICE_PRINT))!, DAY)).toMatchObject({ noise: [STAMP] })
  })

  test('comes with its examples, the newest first', async () => {
    const examples = [
      storedExampleOf(PRICE, { at: NOW }),
      storedExampleOf(PRICE, { at: NOW - 1 }),
      storedExampleOf(STAMP),
    ]
    const reports = reportsOn({ counts: [FAULTY], examples })
    const found = await reports.find(PRICE_PRINT)
    const view = await reports.difference(found!, DAY)
    expect(view.difference).toMatchObject({ verdict: 'real', example: { at: NOW } })
    expect(view.examples.map(({ at }) => at)).toEqual([NOW, NOW - 1])
    expect(view.from).toBe(THIS_HOUR - DAY)
  })

  test('that was not seen in the window is shown as of when it was', async () => {
    const counts = [{ ...FAULTY, start: THIS_HOUR - 50 * HOUR }, countsOf({ matched: 7 })]
    const reports = reportsOn({ counts })
    const view = await reports.difference((await reports.find(PRICE_PRINT))!, DAY)
    expect(view.from).toBe(THIS_HOUR - 50 * HOUR)
    expect(view.difference.sides).toMatchObject({ count: 60, of: 1007 })
  })

  test('of which only a ruling is left can still be named, and has nothing to show', async () => {
    const reports = reportsOn({}, { state: () => stateWith(PRICE, { ruling: 'noise' }) })
    const view = await reports.difference((await reports.find(PRICE_PRINT))!, DAY)
    expect(view.difference).toMatchObject({
      verdict: 'noise',
      sides: { count: 0, of: 0, share: null },
      lastSeen: null,
      example: null,
    })
  })
})

describe('rules that are tried', () => {
  const tolerance = { tolerance: [{ path: '$.items[*].price', absolute: 0.011 }] }

  test('are read first, and every mistake is said', async () => {
    const answer = await reportsOn({ examples: [storedExampleOf()] }).tryRules(
      'catalog',
      { ignore: ['price'], x: 1 },
      undefined,
    )
    expect(answer.kind === 'mistakes' && answer.mistakes.map(({ path }) => path)).toEqual(['x', 'ignore[0]'])
  })

  // The attack: 1,500 expressions in one body of 64 KiB were compiled in the thread that serves clients, for 1.6 s.
  test('cost the thread that serves clients almost nothing, however many expressions they have', async () => {
    const { createRuleTrialRunner: createTrial } = await import('./rule-trial.ts')
    const trial = createTrial()
    for (const [expressions, kind] of [
      [1_500, 'mistakes'],
      [100, 'tried'],
    ] as const) {
      const steps = Array.from({ length: expressions }, (_, i) => ({ regex: `((a|b){9}${i}){9}`, with: '' }))
      const before = process.threadCpuUsage()
      const answer = await trial({ normalise: [{ path: '$.name', steps }] }, [storedExampleOf()])
      const { user } = process.threadCpuUsage(before)
      expect(answer.kind).toBe(kind)
      expect(user / 1000).toBeLessThan(60)
    }
  })

  test('are bounded in the number and in the total length of their expressions', async () => {
    const reports = reportsOn({ examples: [storedExampleOf()] })
    const withSteps = (count: number, length: number) => ({
      normalise: [{ path: '$.name', steps: Array(count).fill({ regex: 'a'.repeat(length), with: '' }) }],
    })
    const many = await reports.tryRules('catalog', withSteps(101, 1), undefined)
    expect(many).toMatchObject({
      mistakes: [{ path: 'normalise', message: expect.stringContaining('101 expressions') }],
    })
    const long = await reports.tryRules('catalog', withSteps(26, 200), undefined)
    expect(long).toMatchObject({ mistakes: [{ message: expect.stringContaining('5200 characters') }] })
    expect((await reports.tryRules('catalog', withSteps(25, 200), undefined)).kind).toBe('tried')
  })

  test('are tried on the examples of the context, or of one route', async () => {
    const reports = reportsOn({ examples: [storedExampleOf(), storedExampleOf(PRICE, {}, 'GET /elsewhere')] })
    const all = await reports.tryRules('catalog', tolerance, undefined)
    expect(all).toMatchObject({ kind: 'tried', trial: { examples: 2 } })
    const one = await reports.tryRules('catalog', tolerance, ROUTE)
    expect(one).toMatchObject({
      trial: {
        examples: 1,
        differences: [{ fingerprint: PRICE_PRINT, route: ROUTE, forgiven: 1, remaining: 0, untried: 0 }],
        appearing: [],
      },
    })
  })

  test('that take too long are given up, and meanwhile no others are tried', async () => {
    const { createRuleTrialRunner: createTrial } = await import('./rule-trial.ts')
    const trial = createTrial(1)
    const [first, second] = await Promise.all([
      trial(tolerance, [storedExampleOf()]),
      trial(tolerance, [storedExampleOf()]),
    ])
    expect(first).toMatchObject({ kind: 'given-up', why: expect.stringContaining('longer than') })
    expect(second).toMatchObject({ kind: 'given-up', why: expect.stringContaining('try again') })
    expect(await createTrial()(tolerance, [storedExampleOf()])).toMatchObject({ kind: 'tried' })
  })
})

test('an export without an example, or of a context that is gone, says what is missing', async () => {
  const found = { fingerprint: PRICE_PRINT, context: 'catalog', route: ROUTE, field: PRICE }
  expect(await reportsOn({}).exportRequest(found, 'curl')).toMatchObject({
    kind: 'impossible',
    why: expect.stringContaining('no example'),
  })
  const gone = reportsOn({ examples: [storedExampleOf()] }, { sidesOf: () => undefined })
  expect(await gone.exportRequest(found, 'curl')).toMatchObject({ kind: 'impossible' })
  const kept = storedExampleOf(PRICE, {
    request: { method: 'GET', target: masked('/p'), headers: ['Host', 'shop.example'].map(masked) },
  })
  const asked: unknown[] = []
  const reports = reportsOn({ examples: [kept] }, { sidesOf: (...all) => void asked.push(all) })
  await reports.exportRequest(found, 'curl')
  expect(asked).toEqual([['catalog', { method: 'GET', host: 'shop.example', target: '/p' }]])
})
