// The command parity, as text and as a gate for scripts.
import { describe, expect, it, test } from 'vitest'
import type { ParityResponse } from '../admin/contract/comparisons.ts'
import { startApi, strangler } from './client/admin-api.test-kit.ts'
import { formatPercent, formatShare } from './format/numbers.ts'
import { parityLines } from './format/parity-lines.ts'
import { differencesWithContext, sideBySide } from './format/side-by-side.ts'

const AT = Date.UTC(2026, 2, 1, 14, 2)
const NONE = {
  eligible: 0,
  matched: 0,
  mismatched: 0,
  noise: 0,
  inconclusive: 0,
  ignored: 0,
  uncomparable: 0,
  shed: 0,
  failed: 0,
}
const NOTHING = {
  accounting: NONE,
  reasons: { uncomparable: {}, shed: {}, failed: {} },
  pairs: 0,
  conclusive: 0,
  matching: null,
  atLeast: 0,
  untilTarget: 3838,
}
const SOME = {
  accounting: { ...NONE, eligible: 12_346, matched: 12_300, mismatched: 40, inconclusive: 2, shed: 4 },
  reasons: { uncomparable: {}, shed: { lag: 3, queue: 1 }, failed: {} },
  pairs: 1300,
  conclusive: 12_340,
  matching: { share: 0.99676, lower: 0.99559, upper: 0.99762 },
  atLeast: 0.99541,
  untilTarget: 45_678,
}
const VIEW: ParityResponse = {
  from: AT - 24 * 3_600_000,
  to: AT,
  target: 0.999,
  contexts: [
    { context: 'catalog', ...SOME, routes: [{ route: 'GET /products', ...SOME }] },
    { context: 'orders', ...NOTHING, routes: [] },
  ],
}

describe('parity', () => {
  it.each([
    ['the first hour with data', AT - 3_600_000, 'since 2026-03-01 13:02'],
    ['the window, if it begins with data', VIEW.from, 'since 2026-02-28 14:02'],
    ['the window, and that there is no data', null, 'since 2026-02-28 14:02: no data'],
  ])('shows as its period %s', async (_, dataSince, since) => {
    const contexts = VIEW.contexts.map((parity) => ({
      ...parity,
      dataSince: parity.context === 'catalog' ? dataSince : null,
    }))
    const api = await startApi({ json: { ...VIEW, contexts } })
    const { stdout } = await strangler(['parity'], { api })
    expect(stdout.split('\n')[0]).toBe(`parity of the sides, ${since}`)
  })

  it('shows for each context the matching share, the missing comparisons and how eligible requests ended', async () => {
    const api = await startApi({ json: VIEW })
    const { code, stdout } = await strangler(['parity'], { api })
    expect(code).toBe(0)
    expect(stdout.split('\n')).toEqual([
      'parity of the sides, since 2026-02-28 14:02',
      '',
      'context  matching               at least  comparisons  pairs  until 99.9 %',
      'catalog  99.67 % (99.55–99.76)  99.54 %   12,342       1,300  45,678 more',
      'orders   -                      -         0            0      3,838 more',
      '',
      'how eligible requests ended',
      '',
      'context  eligible  matched  mismatched  noise  inconclusive  ignored  uncomparable  shed  failed',
      'catalog  12,346    12,300   40          0      2             0        0             4     0',
      'orders   0         0        0           0      0             0        0             0     0',
      '',
      'shed: lag 3, queue 1',
      '',
    ])
    expect(api.requests[0]?.path).toBe('/parity')
  })

  it('with a context shows its routes', async () => {
    const api = await startApi({ json: VIEW })
    const { stdout } = await strangler(['parity', 'catalog', '--window', '2h', '--target', '99'], { api })
    expect(stdout).toMatch(/^GET \/products +99\.67 %/m)
    expect(stdout).not.toContain('orders')
    expect(api.requests[0]?.path).toBe('/parity?window=2h&target=99')
    const none = await strangler(['parity', 'orders'], { api })
    expect(none.stdout).toBe('orders: no request was eligible since 2026-02-28 14:02\n')
    const unknown = await strangler(['parity', 'catlog'], { api })
    expect({ code: unknown.code, stdout: unknown.stdout }).toEqual({ code: 2, stdout: '' })
    expect(unknown.stderr).toContain('did you mean "catalog"?')
  })

  it('prints the unchanged response with --json', async () => {
    const api = await startApi({ json: { ...VIEW, later: 1 } })
    expect(JSON.parse((await strangler(['parity', '--json'], { api })).stdout)).toEqual({ ...VIEW, later: 1 })
  })

  it('shows that the target is reached', () => {
    const contexts = [{ ...VIEW.contexts[0]!, atLeast: 0.9991, untilTarget: 0 }]
    const lines = parityLines({ ...VIEW, contexts }, undefined, AT, { hasColor: false, width: 100 })
    expect(lines).toMatch(/99\.91 % .* reached$/m)
    expect(Math.max(...lines.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100)
  })

  it('fits a terminal of 80 columns, without cutting routes', () => {
    const names = ['GET /shops/:shop/products/:id/offers', 'GET /shops/:shop/products/:id/offers/:offer']
    const [catalog] = VIEW.contexts
    const contexts = [{ ...catalog!, routes: names.map((route) => ({ route, ...SOME })) }]
    const lines = parityLines({ ...VIEW, contexts }, 'catalog', AT, { hasColor: false, width: 80 }).split('\n')
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
    expect(lines.slice(2)).toEqual([
      '  matching               at least  comparisons  pairs  until 99.9 %',
      ...names.flatMap((name) => [name, '  99.67 % (99.55–99.76)  99.54 %   12,342       1,300  45,678 more']),
      '',
      'how eligible requests ended',
      '',
      ...names.flatMap((name) => [name, '  eligible 12,346, matched 12,300, mismatched 40, inconclusive 2, shed 4']),
      '',
      'shed: lag 3, queue 1',
    ])
  })

  it.each<[readonly string[], number, string]>([
    [
      ['--fail-under', '99.9'],
      1,
      'strangler parity: below 99.9 %: catalog (at least 99.54 %), orders (at least 0 %)\n',
    ],
    [['catalog', '--fail-under', '99.9'], 1, 'strangler parity: below 99.9 %: catalog (at least 99.54 %)\n'],
    [['catalog', '--fail-under', '99.5'], 0, ''],
    [['orders', '--fail-under', '50', '--json'], 1, 'strangler parity: below 50 %: orders (at least 0 %)\n'],
  ])('is a gate with %j, which uses the lower bound', async (args, code, stderr) => {
    const api = await startApi({ json: VIEW })
    const ran = await strangler(['parity', ...args], { api })
    expect({ code: ran.code, stderr: ran.stderr }).toEqual({ code, stderr })
    expect(api.requests[0]?.path).toMatch(/target=(?:99\.9|99\.5|50)$/)
  })

  it.each([
    ['--target', '100'],
    ['--target', '0.999'],
    ['--fail-under', 'x'],
    ['--fail-under', '49'],
    ['--window', '1w'],
  ])('with %s %s is a usage error, and no request is sent', async (...args) => {
    const api = await startApi({ json: VIEW })
    const { code, stderr } = await strangler(['parity', ...args], { api })
    expect(code).toBe(2)
    expect(stderr).toContain(args[0])
    expect(api.requests).toEqual([])
  })
})

test.each([
  [0, '0'],
  [1, '100'],
  [0.00001, '<0.01'],
  [0.0042, '0.42'],
  [0.041, '4.1'],
  [0.5, '50'],
  // Not 99.9, because a gate of 99.9 would not pass.
  [0.998999, '99.89'],
  [0.999, '99.9'],
  [0.999999, '99.99'],
])('a share of %d is shown as %s %', (share, text) => {
  expect(formatPercent(share)).toBe(text)
})

test('a share without data is shown as a dash', () => {
  expect(formatShare(null)).toBe('-')
})

describe('two texts side by side', () => {
  const rows = (left: string, right: string) =>
    sideBySide([...left], [...right]).map((row) => `${row.left ?? '.'}${row.right ?? '.'}`)

  test.each([
    ['abc', 'abc', ['aa', 'bb', 'cc']],
    ['abc', 'axc', ['aa', 'bx', 'cc']],
    ['abcd', 'ad', ['aa', 'b.', 'c.', 'dd']],
    ['ad', 'abcd', ['aa', '.b', '.c', 'dd']],
    ['', 'ab', ['.a', '.b']],
    ['abc', 'xyz', ['ax', 'by', 'cz']],
  ])('%s and %s: common lines are in the same rows', (left, right, expected) => {
    expect(rows(left, right)).toEqual(expected)
  })

  test('of 200,000 lines are not aligned', () => {
    const lines = (name: string) => Array.from({ length: 200_000 }, (_, i) => `${name}${i}`)
    expect(sideBySide(lines('a'), lines('b'))).toHaveLength(200_000)
  })

  test('leave out common rows that are far from a difference', () => {
    const shown = differencesWithContext(sideBySide([...'abcdeXfghi'], [...'abcdeYfghi']), 1)
    expect(shown.map((row) => (row === undefined ? '…' : row.left))).toEqual(['…', 'e', 'X', 'f', '…'])
  })
})
