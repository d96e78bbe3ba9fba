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

describe('the parity view', () => {
  const query = { windowMs: DAY, target: 0.999 }

  test('contains the share of matches with its interval, and the outcome of each eligible request', async () => {
    const view = await reportsOn({ counts: [FAULTY] }).parity(query)
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

  test('has no share for a context without comparisons', async () => {
    const { contexts } = await reportsOn({ counts: [FAULTY] }).parity(query)
    expect(contexts[1]).toMatchObject({ context: 'orders', matching: null, atLeast: 0, conclusive: 0, routes: [] })
    expect(contexts[1]?.untilTarget).toBe(3838)
  })

  test('judges each route by itself and adds up the outcomes', async () => {
    // The field is noise in one route and a fault in the other; merged, it would be neither.
    const other = countsOf(
      { matched: 940, pairs: 1000, differing: { [STAMP]: 60 }, fields: { [STAMP]: seen(60) } },
      { route: 'GET /products/:id' },
    )
    const { contexts } = await reportsOn({ counts: [FAULTY, other] }).parity(query)
    const [catalog] = contexts
    expect(catalog?.routes.map(({ route, accounting }) => [route, accounting.mismatched, accounting.noise])).toEqual([
      [ROUTE, 60, 30],
      ['GET /products/:id', 60, 0],
    ])
    expect(catalog?.accounting).toMatchObject({ eligible: 2010, mismatched: 120, noise: 30, matched: 1840 })
  })

  test('follows the rulings of operators', async () => {
    const state = () => stateWith(PRICE, { ruling: 'noise' })
    const { contexts } = await reportsOn({ counts: [FAULTY] }, { state }).parity(query)
    expect(contexts[0]?.accounting).toMatchObject({ mismatched: 0, noise: 90 })
  })

  test('covers whole hours, from the hour in which the window begins', async () => {
    const countsAgo = (hoursAgo: number) => countsOf({ matched: 1 }, { start: THIS_HOUR - hoursAgo * HOUR })
    const { contexts, from } = await reportsOn({
      counts: [countsAgo(3), countsAgo(2), countsAgo(1), countsAgo(0)],
    }).parity({
      windowMs: 2 * HOUR,
      target: 0.999,
    })
    expect(from).toBe(THIS_HOUR - 2 * HOUR)
    expect(contexts[0]?.accounting.matched).toBe(3)
  })
})

describe('the table of differences', () => {
  test('has one row per field, with its share, its noise and its newest values', async () => {
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

  test('merges several gateways and hours', async () => {
    const earlier = { ...FAULTY, start: THIS_HOUR - HOUR }
    const { differences } = await reportsOn({ counts: [earlier, FAULTY] }).differences('catalog', DAY)
    expect(differences).toHaveLength(2)
    expect(differences[0]?.sides).toMatchObject({ count: 120, of: 2000 })
  })

  test('has real differences first, then inconclusive ones, then noise, then resolved ones', async () => {
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

  test('does not contain fields in which only legacy differs from itself', async () => {
    const counts = [countsOf({ matched: 100, pairs: 100, fields: { [STAMP]: seen(0, 5) } })]
    expect((await reportsOn({ counts }).differences('catalog', DAY)).differences).toEqual([])
  })

  test('shows rulings with their operators', async () => {
    const state = () => stateWith(PRICE, { ruling: 'noise', reason: 'rounding', at: NOW - 1 })
    const { differences } = await reportsOn({ counts: [FAULTY] }, { state }).differences('catalog', DAY)
    expect(differences.find(({ fingerprint }) => fingerprint === PRICE_PRINT)).toMatchObject({
      verdict: 'noise',
      note: { by: 'ada', reason: 'rounding', at: NOW - 1, ruling: 'noise', resolvedAt: null },
    })
  })

  test('leaves out hours before the window', async () => {
    const counts = [{ ...FAULTY, start: THIS_HOUR - 30 * HOUR }]
    expect((await reportsOn({ counts }).differences('catalog', DAY)).differences).toEqual([])
    expect((await reportsOn({ counts }).differences('catalog', 2 * DAY)).differences).toHaveLength(2)
  })
})

describe('a resolved difference', () => {
  const stateAt = async (resolvedAt: number, field = PRICE, counts = [FAULTY]) => {
    const state = () => stateWith(field, { resolvedAt })
    const { differences } = await reportsOn({ counts }, { state }).differences('catalog', DAY)
    return differences.find(({ kind, path }) => `${kind} ${path}` === field)?.state
  }

  test('stays resolved while it is not seen again', async () => {
    expect(await stateAt(NOW)).toBe('resolved')
    expect(await stateAt(NOW + 1)).toBe('resolved')
  })

  test('is reopened once it is seen again', async () => {
    expect(await stateAt(NOW - 1)).toBe('reopened')
  })

  test('is not reopened by a difference of legacy from itself', async () => {
    const earlier = countsOf(
      { matched: 900, pairs: 10, differing: { [PRICE]: 9 }, fields: { [PRICE]: seen(9, 0, NOW - HOUR, NOW - HOUR) } },
      { start: THIS_HOUR - HOUR },
    )
    const since = countsOf({ matched: 900, pairs: 10, fields: { [PRICE]: seen(0, 1, NOW, NOW) } })
    expect(await stateAt(NOW - HOUR, PRICE, [earlier, since])).toBe('resolved')
  })
})

describe('a single difference', () => {
  test('is found by its fingerprint, in notes, in examples and in counts', async () => {
    const reference = { fingerprint: PRICE_PRINT, context: 'catalog', route: ROUTE, field: PRICE }
    const state = () => stateWith(PRICE, { ruling: 'noise' })
    expect(await reportsOn({}, { state }).find(PRICE_PRINT)).toEqual(reference)
    expect(await reportsOn({ examples: [storedExampleOf()] }).find(PRICE_PRINT)).toEqual(reference)
    expect(await reportsOn({ counts: [{ ...FAULTY, start: 0 }] }).find(PRICE_PRINT)).toEqual(reference)
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
      const fail = () => Promise.reject(new Error('it was asked'))
      const reports = reportsOn({}, { store: { counts: fail, examples: fail } })
      expect(await reports.find(fingerprint)).toBeUndefined()
    },
  )

  test('is not found if the config no longer has its context', async () => {
    const reports = reportsOn({ counts: [FAULTY], examples: [storedExampleOf()] }, { contexts: () => ['orders'] })
    expect(await reports.find(PRICE_PRINT)).toBeUndefined()
  })

  test('lists which fields of its examples are noise', async () => {
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
    const reference = await reports.find(PRICE_PRINT)
    const view = await reports.difference(reference!, DAY)
    expect(view.difference).toMatchObject({ verdict: 'real', example: { at: NOW } })
    expect(view.examples.map(({ at: time }) => time)).toEqual([NOW, NOW - 1])
    expect(view.from).toBe(THIS_HOUR - DAY)
  })

  test('is shown with older counts if the window has none', async () => {
    const counts = [{ ...FAULTY, start: THIS_HOUR - 50 * HOUR }, countsOf({ matched: 7 })]
    const reports = reportsOn({ counts })
    const view = await reports.difference((await reports.find(PRICE_PRINT))!, DAY)
    expect(view.from).toBe(THIS_HOUR - 50 * HOUR)
    expect(view.difference.sides).toMatchObject({ count: 60, of: 1007 })
  })

  test('is found by its ruling although it has no counts and examples', async () => {
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

describe('a rule trial', () => {
  const tolerance = { tolerance: [{ path: '$.items[*].price', absolute: 0.011 }] }

  test('reports all mistakes in the rules', async () => {
    const answer = await reportsOn({ examples: [storedExampleOf()] }).tryRules(
      'catalog',
      { ignore: ['price'], x: 1 },
      undefined,
    )
    expect(answer.kind === 'mistakes' && answer.mistakes.map(({ path }) => path)).toEqual(['x', 'ignore[0]'])
  })

  // The attack: the gateway thread compiled 1,500 expressions of one body of 64 KiB for 1.6 s.
  test('costs the gateway thread almost nothing, however many expressions the rules have', async () => {
    const { createRuleTrialRunner: createTrial } = await import('./rule-trial.ts')
    const trial = createTrial()
    for (const [expressions, kind] of [
      [1_500, 'mistakes'],
      [100, 'tried'],
    ] as const) {
      const steps = Array.from({ length: expressions }, (_, i) => ({ regex: `((a|b){9}${i}){9}`, with: '' }))
      const cpuUsage = process.threadCpuUsage()
      const answer = await trial({ normalise: [{ path: '$.name', steps }] }, [storedExampleOf()])
      const { user } = process.threadCpuUsage(cpuUsage)
      expect(answer.kind).toBe(kind)
      expect(user / 1000).toBeLessThan(60)
    }
  })

  test('rejects too many or too long expressions', async () => {
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

  test('uses the examples of the context or of one route', async () => {
    const reports = reportsOn({ examples: [storedExampleOf(), storedExampleOf(PRICE, {}, 'GET /elsewhere')] })
    const ofContext = await reports.tryRules('catalog', tolerance, undefined)
    expect(ofContext).toMatchObject({ kind: 'tried', trial: { examples: 2 } })
    const ofRoute = await reports.tryRules('catalog', tolerance, ROUTE)
    expect(ofRoute).toMatchObject({
      trial: {
        examples: 1,
        differences: [{ fingerprint: PRICE_PRINT, route: ROUTE, forgiven: 1, remaining: 0, untried: 0 }],
        appearing: [],
      },
    })
  })

  test('is given up after its limit, and no other trial runs meanwhile', async () => {
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

test('an export without an example, or of a removed context, reports what is missing', async () => {
  const reference = { fingerprint: PRICE_PRINT, context: 'catalog', route: ROUTE, field: PRICE }
  expect(await reportsOn({}).exportRequest(reference, 'curl')).toMatchObject({
    kind: 'impossible',
    why: expect.stringContaining('no example'),
  })
  const gone = reportsOn({ examples: [storedExampleOf()] }, { sidesOf: () => undefined })
  expect(await gone.exportRequest(reference, 'curl')).toMatchObject({ kind: 'impossible' })
  const example = storedExampleOf(PRICE, {
    request: { method: 'GET', target: masked('/p'), headers: ['Host', 'shop.example'].map(masked) },
  })
  const calls: unknown[] = []
  const reports = reportsOn({ examples: [example] }, { sidesOf: (...args) => void calls.push(args) })
  await reports.exportRequest(reference, 'curl')
  expect(calls).toEqual([['catalog', { method: 'GET', host: 'shop.example', target: '/p' }]])
})
