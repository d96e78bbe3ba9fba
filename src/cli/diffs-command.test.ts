// The command diffs: the list of differences, one difference, rulings and exports; and rule trials.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type {
  DifferenceResponse,
  DifferenceSummary,
  DifferencesResponse,
  MaskedExample,
  RuleTrial,
} from '../admin/contract/comparisons.ts'
import { changeReply, emptyFolder, problem, startApi, strangler } from './client/admin-api.test-kit.ts'
import { trialLines } from './commands/try-rule.ts'
import { differenceLines } from './format/difference-lines.ts'
import { exampleLines } from './format/example-lines.ts'

const AT = Date.UTC(2026, 2, 1, 14, 2)
const PRINT = '1f2e3d4c5b'
const share = (share: number, lower: number, upper: number) => ({ share, lower, upper })

const PRICE: DifferenceSummary = {
  fingerprint: PRINT,
  context: 'catalog',
  route: 'GET /products',
  kind: 'value',
  path: '$.items[*].price',
  sides: { count: 60, of: 1000, share: share(0.06, 0.047, 0.0762) },
  self: { count: 0, of: 1000, share: share(0, 0, 0.0038) },
  verdict: 'real',
  note: null,
  state: 'open',
  firstSeen: AT,
  lastSeen: AT,
  example: { at: AT, legacy: '10.00', service: '10.01' },
}
const STAMP: DifferenceSummary = {
  ...PRICE,
  fingerprint: 'aaaaaaaaaa',
  path: '$.generatedAt',
  verdict: 'noise',
  sides: { count: 1000, of: 1000, share: share(1, 0.996, 1) },
  self: { count: 1000, of: 1000, share: share(1, 0.996, 1) },
}
const VIEW: DifferencesResponse = {
  from: AT - 24 * 3_600_000,
  to: AT,
  context: 'catalog',
  comparisons: 1000,
  pairs: 1000,
  fieldsLeftOut: 0,
  differences: [PRICE, STAMP],
}

async function listed(more: Partial<DifferencesResponse> = {}, ...args: string[]): Promise<string[]> {
  const api = await startApi({ json: { ...VIEW, ...more } })
  const { code, stdout, stderr } = await strangler(['diffs', 'catalog', ...args], { api })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return stdout.split('\n')
}

describe('diffs', () => {
  it('prints a table of fields with an example below each, and noise in one line', async () => {
    expect(await listed()).toEqual([
      'catalog: 1,000 comparisons since 2026-02-28 14:02, and 1,000 pairs of legacy with itself',
      '',
      'verdict       route          field                   differs        noise  fingerprint',
      'real          GET /products  value $.items[*].price  6 % (4.7–7.6)  0 %    1f2e3d4c5b',
      '              10.00 → 10.01',
      '1 field of noise; --all shows it',
      '',
    ])
  })

  it('lists noise with --all, and requests the given window', async () => {
    const api = await startApi({ json: VIEW })
    const { stdout } = await strangler(['diffs', 'catalog', '--all', '--window', '2h'], { api })
    expect(stdout).toMatch(/^noise +GET \/products +value \$\.generatedAt +100 % \(99\.6–100\) +100 % +aaaaaaaaaa$/m)
    expect(stdout).not.toContain('--all')
    expect(api.requests[0]?.path).toBe('/contexts/catalog/differences?window=2h')
  })

  it('prints the unchanged response with --json', async () => {
    const api = await startApi({ json: { ...VIEW, later: 1 } })
    const { stdout } = await strangler(['diffs', 'catalog', '--json'], { api })
    expect(JSON.parse(stdout)).toEqual({ ...VIEW, later: 1 })
  })

  it.each<[string, Partial<DifferencesResponse>, string]>([
    [
      'that there are no comparisons',
      { comparisons: 0, differences: [] },
      'catalog: no comparisons since 2026-02-28 14:02; start them with strangler shadow catalog 10',
    ],
    [
      'the first hour with data, if the window begins earlier',
      { differences: [], dataSince: AT - 3_600_000 },
      'catalog: no differences in 1,000 comparisons since 2026-03-01 13:02',
    ],
    [
      'that there are no differences',
      { differences: [] },
      'catalog: no differences in 1,000 comparisons since 2026-02-28 14:02',
    ],
    ['that there is only noise', { differences: [STAMP] }, 'only noise'],
    [
      'the number of fields that an operator ruled to be noise',
      {
        differences: [
          STAMP,
          { ...STAMP, note: { at: AT, by: 'ana', reason: null, ruling: 'noise', resolvedAt: null } },
        ],
      },
      '2 fields of noise (1 by a ruling); --all shows them',
    ],
    ['that there were too many', { fieldsLeftOut: 7 }, 'too many fields: others differed 7 times and are not listed'],
    [
      'a resolved difference',
      {
        differences: [
          { ...PRICE, state: 'resolved', note: { by: 'ada', reason: 'fixed', at: AT, ruling: null, resolvedAt: AT } },
        ],
      },
      '              10.00 → 10.01; resolved 2026-03-01 14:02 by ada (fixed)',
    ],
    [
      'a resolved difference that occurred again',
      {
        differences: [
          { ...PRICE, state: 'reopened', note: { by: 'ada', reason: null, at: AT, ruling: null, resolvedAt: AT } },
        ],
      },
      '              10.00 → 10.01; REOPENED: resolved 2026-03-01 14:02 by ada',
    ],
    [
      'a ruling',
      { differences: [{ ...PRICE, note: { by: 'ada', reason: 'money', at: AT, ruling: 'real', resolvedAt: null } }] },
      '              10.00 → 10.01; ruled real by ada (money)',
    ],
    [
      'a value that one side does not have',
      { differences: [{ ...PRICE, example: { at: AT, legacy: null, service: '' } }] },
      '              (nothing) → ""',
    ],
    ['that there is no example', { differences: [{ ...PRICE, example: null }] }, '              no example is stored'],
  ])('prints %s', async (_what, more, line) => {
    expect(await listed(more)).toContain(line)
  })

  const LONG: DifferenceSummary = {
    ...PRICE,
    verdict: 'inconclusive',
    route: 'GET /shops/:shop/products/:id/offers',
    path: '$.seller.address.postcode[*].of.the.warehouse',
    example: { at: AT, legacy: 'x'.repeat(300), service: 'y' },
  }

  it.each([100, 80, 60])('fits a terminal of %d columns, without cutting routes and fields', (width) => {
    const view = { ...VIEW, differences: [LONG] }
    const lines = differenceLines(view, { now: AT, hasNoise: false }, { hasColor: false, width }).split('\n').slice(2)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width)
    const field = `value ${LONG.path}`
    expect(lines).toEqual([
      expect.stringMatching(/^ {2}verdict +differs +noise +fingerprint$/),
      ...(width === 100 ? [`${LONG.route}  ${field}`] : [LONG.route, field]),
      `  inconclusive  6 % (4.7–7.6)  0 %    ${PRINT}`,
      expect.stringMatching(/^ {2}x+…$/),
    ])
  })

  it('escapes control characters in every field of the response', async () => {
    const evil = '\u001b]0;owned\u0007\u202e'
    const row: DifferenceSummary = {
      ...PRICE,
      route: evil,
      path: `$.${evil}`,
      example: { at: AT, legacy: evil, service: evil },
      note: { by: evil, reason: evil, at: AT, ruling: 'real', resolvedAt: AT },
      state: 'reopened',
    }
    const output = (await listed({ context: evil, differences: [row] })).join('')
    expect(output).toContain('\\u001b]0;owned')
    expect(output).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    const masked = { status: 200, headers: [evil, evil], body: JSON.stringify({ [evil]: evil }), ms: 1 }
    const example: MaskedExample = {
      at: AT,
      request: { method: evil, target: evil, headers: [] },
      answeredBy: 'legacy',
      legacy: masked,
      service: { ...masked, body: evil, headers: [] },
      differences: [{ kind: 'value', path: evil, legacy: evil, service: evil, times: 2 }],
    }
    const api = await startApi({
      json: { from: AT, to: AT, difference: row, examples: [example], noise: [] } satisfies DifferenceResponse,
    })
    const shown = (await strangler(['diffs', 'catalog', '--show', PRINT], { api })).stdout
    expect(shown.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })

  it.each<[readonly string[], RegExp]>([
    [['diffs'], /give the context/],
    [['diffs', 'catalog', 'orders'], /"orders" is one argument too many/],
    [['diffs', 'catalog', '--window', 'x'], /--window: must be a duration/],
    [['diffs', 'catalog', '--show', 'xyz'], /ten hexadecimal digits/],
    [['diffs', 'catalog', '--as', 'curl'], /--as has no effect here/],
    [['diffs', 'catalog', '--show', PRINT, '--all'], /--all has no effect here/],
    [['diffs', 'rule', PRINT, 'nice'], /real, noise or auto/],
    [['diffs', 'rule', PRINT], /give the verdict/],
    [['diffs', 'rule', '../kill-switch', 'noise'], /ten hexadecimal digits/],
    [['diffs', 'resolve', PRINT, 'now'], /"now" is one argument too many/],
    [['diffs', 'export', PRINT, '--as', 'perl'], /--as: must be curl or vitest/],
    [['diffs', 'export', PRINT, '--window', '2h'], /--window has no effect here/],
  ])('%j is a usage error, and no request is sent', async (args, why) => {
    const api = await startApi({ json: VIEW })
    const { code, stderr, stdout } = await strangler(args, { api })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(why)
    expect(api.requests).toEqual([])
  })

  it('gives advice about an unknown context or fingerprint', async () => {
    const unknown = await startApi(problem('unknown-context', { known: ['catalog'] }))
    expect((await strangler(['diffs', 'catlog'], { api: unknown })).stderr).toContain('did you mean "catalog"?')
    const gone = await startApi(problem('unknown-difference', { detail: 'strangler diffs CONTEXT lists them' }))
    const { code, stderr } = await strangler(['diffs', 'catalog', '--show', PRINT], { api: gone })
    expect({ code, stderr }).toEqual({ code: 2, stderr: 'strangler diffs: strangler diffs CONTEXT lists them\n' })
  })

  it('lists the differences of a context named "rule"', async () => {
    const api = await startApi({ json: VIEW })
    expect((await strangler(['diffs', 'rule'], { api })).code).toBe(0)
    expect(api.requests[0]?.path).toBe('/contexts/rule/differences')
  })
})

const ANSWER = { status: 200, headers: ['Content-Type', 'application/json', 'X-A', '1'], ms: 12 }
const EXAMPLE: MaskedExample = {
  at: AT,
  request: { method: 'GET', target: '/products?page=2', headers: [] },
  answeredBy: 'legacy',
  legacy: { ...ANSWER, body: '{"items":[{"id":1,"price":10},{"id":2,"price":3}],"page":2,"next":3,"of":9}' },
  service: { ...ANSWER, ms: 9, body: '{"items":[{"id":1,"price":10.01},{"id":2,"price":3}],"page":2,"next":3,"of":9}' },
  differences: [{ kind: 'value', path: '$.items[*].price', legacy: '10.00', service: '10.01', times: 1 }],
}

describe('diffs --show', () => {
  it('prints the facts of a difference and its example side by side', () => {
    const view: DifferenceResponse = { from: AT, to: AT, difference: PRICE, examples: [EXAMPLE, EXAMPLE], noise: [] }
    expect(exampleLines(view, AT, { hasColor: false, width: 60 }).split('\n').slice(6)).toEqual([
      '',
      expect.stringMatching(/:00 {2}GET \/products\?page=2, answered by legacy$/),
      '                        legacy  service',
      'status                  200     200',
      'time                    12 ms   9 ms',
      'value $.items[*].price  10.00   10.01',
      '',
      'headers: the same',
      '',
      'body',
      '  …',
      '      {                       │     {',
      '        "id": 1,              │       "id": 1,',
      '≠       "price": 10           │       "price": 10.01',
      '      },                      │     },',
      '      {                       │     {',
      '  …',
      '',
      '1 more with --json',
    ])
  })

  it.each<[string, MaskedExample[], RegExp]>([
    ['no example', [], /^no example is stored$/m],
    [
      'no bodies',
      [{ ...EXAMPLE, legacy: { ...EXAMPLE.legacy, body: null } }],
      /^bodies are stored only if both are JSON/m,
    ],
  ])('prints that a difference has %s', (_what, examples, line) => {
    const view: DifferenceResponse = { from: AT, to: AT, difference: PRICE, examples, noise: [] }
    expect(exampleLines(view, AT, { hasColor: false, width: undefined })).toMatch(line)
  })

  it('marks differences and noise, and leaves other rows unmarked', () => {
    const both = (headers: readonly string[], body: unknown) => ({
      ...ANSWER,
      headers: [...headers],
      body: JSON.stringify(body),
    })
    const example: MaskedExample = {
      ...EXAMPLE,
      legacy: both(['Vary', 'Accept', 'X-Served-By', 'a', 'Set-Cookie', 'sid=1'], {
        at: 1,
        'a b': [{ 7: 1 }],
        id: 'x',
      }),
      service: both(['Vary', 'Cookie', 'X-Served-By', 'b', 'Set-Cookie', 'sid=1; Secure'], {
        at: 2,
        'a b': [{ 7: 2 }],
        id: 'y',
      }),
      differences: [
        { kind: 'value', path: 'header.vary', legacy: 'Accept', service: 'Cookie', times: 1 },
        { kind: 'extra', path: 'cookie.sid.secure', legacy: null, service: '', times: 1 },
        { kind: 'value', path: '$["a b"][*].*', legacy: '1', service: '2', times: 2 },
        { kind: 'value', path: '$.at', legacy: '1', service: '2', times: 1 },
      ],
    }
    const view: DifferenceResponse = { from: AT, to: AT, difference: PRICE, examples: [example], noise: ['value $.at'] }
    const lines = exampleLines(view, AT, { hasColor: false, width: 60 }).split('\n')
    const starting = (mark: string) => lines.filter((line) => line.startsWith(mark)).map((line) => line.split(/ +/)[1])
    expect(starting('≠')).toEqual(['set-cookie:', 'vary:', '"7":'])
    expect(starting('~')).toEqual(['"at":', 'noise:'])
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}x-served-by: a +│ x-served-by: b$/))
    expect(lines).toContainEqual(expect.stringMatching(/^ {4}"id": "x" +│ {3}"id": "y"$/))
    expect(lines.filter((line) => line.startsWith('not marked:'))).toHaveLength(2)
    expect(lines).toContainEqual(expect.stringMatching(/^value \$\.at \(noise\) +1 +2$/))
    expect(lines).toContainEqual(expect.stringMatching(/^value \$\["a b"\]\[\*\]\.\* \(2 places\) +1 +2$/))
  })

  it('names the context of a difference that belongs to another context', async () => {
    const api = await startApi({
      json: { from: AT, to: AT, difference: { ...PRICE, context: 'orders' }, examples: [], noise: [] },
    })
    const { code, stderr } = await strangler(['diffs', 'catalog', '--show', PRINT], { api })
    expect(code).toBe(2)
    expect(stderr).toContain(`strangler diffs orders --show ${PRINT}`)
    expect(api.requests[0]?.path).toBe(`/differences/${PRINT}`)
  })
})

describe('the verdict of an operator', () => {
  const about = { fingerprint: PRINT, route: 'GET /products', field: 'value $.price' }

  it.each([
    ['noise', 'PUT', { verdict: 'noise', reason: 'rounding' }, `/differences/${PRINT}/ruling`],
    ['real', 'PUT', { verdict: 'real', reason: 'rounding' }, `/differences/${PRINT}/ruling`],
    ['auto', 'DELETE', undefined, `/differences/${PRINT}/ruling?reason=rounding`],
  ])('is sent as the ruling %s', async (verdict, method, body, path) => {
    const api = await startApi(
      changeReply({
        verb: 'rule',
        before: { ...about, ruling: null },
        after: { ...about, ruling: verdict === 'auto' ? null : verdict },
      }),
    )
    const { code, stdout } = await strangler(['diffs', 'rule', PRINT, verdict, '--reason', 'rounding'], { api })
    expect(code).toBe(0)
    expect(api.requests).toMatchObject([{ method, path, body }])
    expect(stdout).toContain(
      verdict === 'auto' ? 'is left to the statistics' : `value $.price of GET /products is ${verdict}`,
    )
  })

  it('is sent as a resolution', async () => {
    const api = await startApi(
      changeReply({ verb: 'resolve', before: { ...about, resolvedAt: null }, after: { ...about, resolvedAt: AT } }),
    )
    const { stdout } = await strangler(['diffs', 'resolve', PRINT], { api })
    expect(api.requests).toMatchObject([{ method: 'PUT', path: `/differences/${PRINT}/resolution`, body: {} }])
    expect(stdout).toContain('value $.price of GET /products is resolved')
  })
})

describe('diffs export', () => {
  const EXPORTED = { fingerprint: PRINT, as: 'vitest', text: 'line 1\nline\u001b[2J 2\n', variables: ['MASKED_COOKIE'] }

  it('prints text, with escaped control characters', async () => {
    const api = await startApi({ json: EXPORTED })
    const { stdout } = await strangler(['diffs', 'export', PRINT, '--as', 'vitest'], { api })
    expect(stdout).toBe('line 1\nline\\u001b[2J 2\n')
    expect(api.requests[0]?.path).toBe(`/differences/${PRINT}/export?as=vitest`)
    const { stdout: json } = await strangler(['diffs', 'export', PRINT, '--json'], { api })
    expect(JSON.parse(json)).toEqual(EXPORTED)
  })

  it('writes a new file, and never overwrites one', async () => {
    const api = await startApi({ json: EXPORTED })
    const cwd = await emptyFolder()
    const args = ['diffs', 'export', PRINT, '--out', 'price.test.ts']
    const { code, stdout } = await strangler(args, { api, cwd })
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'price.test.ts was written; set the variables of the masked values: MASKED_COOKIE\n',
    })
    expect(await readFile(join(cwd, 'price.test.ts'), 'utf8')).toBe('line 1\nline\\u001b[2J 2\n')
    await writeFile(join(cwd, 'price.test.ts'), 'mine')
    const again = await strangler(args, { api, cwd })
    expect(again.code).toBe(1)
    expect(again.stderr).toContain('it exists, and is not overwritten')
    expect(await readFile(join(cwd, 'price.test.ts'), 'utf8')).toBe('mine')
  })

  it('prints why a difference cannot be exported', async () => {
    const api = await startApi(problem('not-exportable', { detail: 'no example of it is kept' }))
    const { code, stderr } = await strangler(['diffs', 'export', PRINT], { api })
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'strangler diffs: no example of it is kept\n' })
  })
})

describe('shadow try-rule', () => {
  const tried = { route: 'GET /products', kind: 'value', path: '$.price' }
  const TRIAL = {
    examples: 3,
    differences: [
      { ...tried, fingerprint: PRINT, forgiven: 2, remaining: 0, untried: 1 },
      { ...tried, path: '$.other', fingerprint: 'aaaaaaaaaa', forgiven: 0, remaining: 1, untried: 0 },
    ],
    appearing: [{ ...tried, kind: 'missing', path: '$.tags[*]', examples: 2 }],
  }

  async function folderWith(rules: string): Promise<string> {
    const cwd = await emptyFolder()
    await writeFile(join(cwd, 'rules.json'), rules)
    return cwd
  }

  it('prints what the rules forgive, what remains, what is unknown and what is new', async () => {
    const api = await startApi({ json: TRIAL })
    const cwd = await folderWith('{"ignore":["$.price"]}')
    const args = ['shadow', 'try-rule', 'catalog', 'rules.json', '--route', 'GET /products']
    const { code, stdout } = await strangler(args, { api, cwd, env: { CI: 'true' } })
    expect(code).toBe(0)
    expect(stdout.split('\n')).toEqual([
      'tried on 3 examples; nothing was changed',
      '',
      'route          field          forgiven  remaining  untried  fingerprint',
      'GET /products  value $.price  2         0          1        1f2e3d4c5b',
      'GET /products  value $.other  0         1          0        aaaaaaaaaa',
      'untried: the example has no body, or its difference is masked, so the effect is unknown',
      'NEW: missing $.tags[*] of GET /products would differ, in 2 examples',
      '',
    ])
    expect(api.requests).toMatchObject([
      {
        method: 'POST',
        path: '/contexts/catalog/try-rule',
        body: { rules: { ignore: ['$.price'] }, route: 'GET /products' },
      },
    ])
  })

  it('names the routes with examples if the given route has no examples', async () => {
    const api = await startApi({ json: { examples: 0, differences: [], appearing: [] } }, { json: TRIAL })
    const args = ['shadow', 'try-rule', 'catalog', 'rules.json', '--route', 'GET /product']
    const { code, stdout } = await strangler(args, { api, cwd: await folderWith('{}') })
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'no examples are stored for these rules; there are examples of GET /products\n',
    })
    expect(api.requests.map(({ body }) => body)).toEqual([{ rules: {}, route: 'GET /product' }, { rules: {} }])
  })

  it('fits a terminal of 60 columns, and cuts neither route nor field', () => {
    const lines = trialLines(TRIAL as RuleTrial, { hasColor: false, width: 60 }).split('\n')
    expect(lines.slice(2, 6)).toEqual([
      '  forgiven  remaining  untried  fingerprint',
      'GET /products',
      'value $.price',
      `  2         0          1        ${PRINT}`,
    ])
  })

  it('lists every mistake in the rules', async () => {
    const mistakes = [{ path: 'rules.ignore[0]', message: 'must begin with "$"' }]
    const api = await startApi(problem('bad-body', { detail: 'the rules cannot be read', mistakes }))
    const { code, stderr } = await strangler(['shadow', 'try-rule', 'catalog', 'rules.json'], {
      api,
      cwd: await folderWith('{}'),
    })
    expect(code).toBe(2)
    expect(stderr).toContain('the rules cannot be read; rules.ignore[0] must begin with "$"')
  })

  it.each<[readonly string[], RegExp]>([
    [['try-rule', 'catalog'], /give the file with rules/],
    [['try-rule', 'catalog', 'none.json'], /none\.json cannot be read: ENOENT/],
    [['try-rule', 'catalog', 'rules.json'], /rules\.json is not JSON/],
    [['catalog', '10', '--route', 'x'], /--route needs try-rule/],
    [['catalog', '10', '20'], /"20" is one argument too many/],
  ])('%j is a usage error, and no request is sent', async (args, why) => {
    const api = await startApi({ json: TRIAL })
    const { code, stderr } = await strangler(['shadow', ...args], { api, cwd: await folderWith('{') })
    expect(code).toBe(2)
    expect(stderr).toMatch(why)
    expect(api.requests).toEqual([])
  })

  it('of a context that is called so is shadowed as others are', async () => {
    const api = await startApi(changeReply({ verb: 'shadow', context: 'try-rule', before: null, after: 10 }))
    await strangler(['shadow', 'try-rule', '10'], { api })
    expect(api.requests).toMatchObject([{ method: 'PUT', path: '/contexts/try-rule/shadow', body: { percentage: 10 } }])
  })
})
