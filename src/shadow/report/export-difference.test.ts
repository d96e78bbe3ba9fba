// Runs exports with sh, and with vitest against two origins. Paths and fields are hostile.
import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Field, splitField } from '../../model/comparison.ts'
import type { Example } from '../../model/comparison-example.ts'
import type { ExportForm } from '../../model/comparison-views.ts'
import { exampleOf, masked, PRICE, ROUTE } from './comparison-reports.test-kit.ts'
import { exportDifference } from './export-difference.ts'

const SIDES = { legacy: 'http://127.0.0.1:3000', service: 'http://127.0.0.1:3001' }

type Recorded = {
  readonly method?: string
  readonly target?: string
  readonly serviceTarget?: string
  readonly headers?: readonly string[]
  readonly field?: Field
  readonly example?: Partial<Example>
  readonly urls?: typeof SIDES
}

function answerTo({ method = 'GET', target = '/products', headers = [], ...more }: Recorded, as: ExportForm) {
  const request = { method, target: masked(target), headers: headers.map(masked) }
  const { field = PRICE, urls = SIDES, serviceTarget = target } = more
  const { kind, path } = splitField(field)
  const differences = [{ kind, path, legacy: masked('10.00'), service: masked('10.01'), times: 1 }]
  return exportDifference(
    {
      fingerprint: '0123456789',
      context: 'catalog',
      route: ROUTE,
      field,
      example: exampleOf({ request, differences, ...more.example }),
      sides: { legacy: { url: urls.legacy, target }, service: { url: urls.service, target: serviceTarget } },
    },
    as,
  )
}

function exported(recorded: Recorded, as: ExportForm) {
  const answer = answerTo(recorded, as)
  if (answer.kind !== 'exported') throw new Error(answer.why)
  return answer.exported
}

async function folder(): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'strangler-export-'))
  onTestFinished(() => rm(made, { recursive: true, force: true }))
  return made
}

/** Runs the script with sh in an empty folder, with a `curl` that records its arguments. */
async function argumentsOf(text: string, env: Readonly<Record<string, string>> = {}): Promise<string[][]> {
  const cwd = await folder()
  const bin = await folder()
  const seen = join(bin, 'seen')
  // Separators are characters that no argument contains.
  await writeFile(
    join(bin, 'curl'),
    `#!/bin/sh\nfor one in "$@"; do printf '%s\\001' "$one" >> '${seen}'; done\nprintf '\\002' >> '${seen}'\n`,
  )
  await chmod(join(bin, 'curl'), 0o755)
  await writeFile(join(cwd, 'script.sh'), text)
  await run('sh', ['-n', 'script.sh'], cwd, {})
  await run('sh', ['script.sh'], cwd, { PATH: `${bin}${delimiter}${process.env.PATH}`, ...env })
  expect(await readdir(cwd)).toEqual(['script.sh'])
  const calls = (await readFile(seen, 'utf8')).split('\u0002').slice(0, -1)
  return calls.map((call) => call.split('\u0001').slice(0, -1))
}

function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, env: { PATH: process.env.PATH, ...env } }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${stdout}${stderr}`, { cause: error }))
    })
  })
}

const HOSTILE = [
  "'; touch pwned; '",
  '$(touch pwned)',
  '`touch pwned`',
  '"; touch pwned; "',
  "\\'; touch pwned #",
  "'\n touch pwned\n'",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell would expand it
  '${IFS}touch${IFS}pwned',
  '& touch pwned &',
  '| touch pwned',
  '!touch pwned',
  '*',
  '~root',
  '-o pwned',
  '@/etc/passwd',
  '\u001b]0;owned\u0007',
] as const

describe('an export as curl script', () => {
  test('sends the recorded request to both sides', async () => {
    const { text, variables } = exported(
      { target: '/products?page=2', headers: ['Accept', 'application/json'] },
      'curl',
    )
    expect(variables).toEqual([])
    expect(text).toContain('# Legacy: 10.00; service: 10.01.')
    const argumentsFor = (url: string) => [
      ...['-sS', '-i', '-X', 'GET', '--globoff', '--path-as-is', '--compressed'],
      ...['-H', 'Accept: application/json', '--url', `${url}/products?page=2`],
    ]
    expect(await argumentsOf(text)).toEqual([argumentsFor(SIDES.legacy), argumentsFor(SIDES.service)])
    const elsewhere = await argumentsOf(text, { LEGACY_URL: 'http://a.example/', SERVICE_URL: 'http://b.example' })
    expect(elsewhere).toEqual([argumentsFor('http://a.example'), argumentsFor('http://b.example')])
  })

  test('sends the rewritten path to the service', async () => {
    const { text } = exported({ target: '/products', serviceTarget: '/v2/items' }, 'curl')
    expect((await argumentsOf(text)).map((args) => args.at(-1))).toEqual([
      'http://127.0.0.1:3000/products',
      'http://127.0.0.1:3001/v2/items',
    ])
  })

  test.each(HOSTILE)('runs, reads and writes nothing for %j in a path', async (word) => {
    const { text } = exported({ target: `/${word}` }, 'curl')
    expect((await argumentsOf(text)).map((args) => args.at(-1))).toEqual([
      `${SIDES.legacy}/${word.replaceAll('#', '%23')}`,
      `${SIDES.service}/${word.replaceAll('#', '%23')}`,
    ])
  })

  test.each(HOSTILE)(
    'runs, reads and writes nothing for %j in a header field, a member name or an address',
    async (word) => {
      const field: Field = `value $.${word}`
      const urls = { legacy: `http://a.example/${word}`, service: SIDES.service }
      const recorded = { headers: ['X-Said', word], field, urls, example: { legacy: exampleOf().legacy } }
      const [args = []] = await argumentsOf(exported(recorded, 'curl').text)
      expect(args.slice(args.indexOf('-H'), args.indexOf('-H') + 2)).toEqual(['-H', `X-Said: ${word}`])
    },
  )

  test('never uses a field name as a file or an option', async () => {
    const headers = ['@/etc/passwd', 'x', '-o', 'pwned', "a'b", '1', 'a b', '2', 'a:b', '3', '', '4', 'X-Empty', '']
    const [args = []] = await argumentsOf(exported({ headers }, 'curl').text)
    const sent = args.filter((_, i) => args[i - 1] === '-H')
    expect(sent).toEqual(['-o: pwned', "a'b: 1", 'X-Empty;'])
  })

  test('sends each target to the side itself, whatever it begins with', async () => {
    for (const target of ['@evil.example/x', '.evil.example/x', ':80@evil.example/']) {
      const [args = []] = await argumentsOf(exported({ target }, 'curl').text)
      expect(args.at(-1)).toBe(`${SIDES.legacy}/${target}`)
    }
  })

  test('has a variable for each masked value and sends its value unchanged', async () => {
    const headers = ['Authorization', 'Bearer <credentials>', 'Cookie', '<secret>', 'PATH', '<token>']
    const { text, variables } = exported({ target: '/u/<email>?token=***', headers }, 'curl')
    expect(variables.toSorted()).toEqual([
      'MASKED_AUTHORIZATION',
      'MASKED_COOKIE',
      'MASKED_PATH',
      'MASKED_TARGET_1',
      'MASKED_TARGET_2',
    ])
    expect(text).not.toMatch(/<(?:credentials|secret|token|email)>|\*\*\*/)
    const env = Object.fromEntries(variables.map((name) => [name, `$(touch pwned) "'${name}`]))
    const [args = []] = await argumentsOf(text, env)
    expect(args).toContain(`Authorization: $(touch pwned) "'MASKED_AUTHORIZATION`)
    expect(args).toContain(`PATH: $(touch pwned) "'MASKED_PATH`)
    expect(args.at(-1)).toBe(
      `${SIDES.legacy}/u/$(touch pwned) "'MASKED_TARGET_1?token=$(touch pwned) "'MASKED_TARGET_2`,
    )
    await expect(argumentsOf(text)).rejects.toThrow(/MASKED_/)
  })

  test.each(['curl', 'vitest'] as const)(
    'leaves out the fields with which the gateway marked the request (%s)',
    (as) => {
      const headers = [
        ...['X-Request-Id', '<token>', 'traceparent', '<token>', 'tracestate', '<token>', 'Via', '<token>'],
        ...['X-Shadow', '1', 'X-Forwarded-Host', 'shop.example', 'X-Forwarded-Proto', 'https'],
      ]
      const { text, variables } = exported({ headers }, as)
      expect(variables).toEqual([])
      expect(text).not.toMatch(/MASKED|x-request-id|traceparent|tracestate|\bvia\b|x-shadow/i)
      expect(text).toMatch(/x-forwarded-host\W+shop\.example/i)
      expect(text).toMatch(/x-forwarded-proto\W+https/i)
    },
  )

  test('does not wait for a body of HEAD, and leaves out framing and the host name of one side', async () => {
    const headers = [
      'Host',
      '127.0.0.1:3001',
      'Content-Length',
      '5',
      'X-Shadow',
      '1',
      'Accept-Encoding',
      'br',
      'A',
      'b',
    ]
    const [args = []] = await argumentsOf(exported({ method: 'HEAD', headers }, 'curl').text)
    expect(args.slice(0, 4)).toEqual(['-sS', '-i', '--head', '--globoff'])
    expect(args.filter((_, i) => args[i - 1] === '-H')).toEqual(['A: b'])
    const own = exported({ headers: ['Host', 'shop.example'] }, 'curl')
    expect(own.text).toContain('shop.example')
  })
})

test.each(['curl', 'vitest'] as const)('a write is not exported as %s', (as) => {
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'get']) {
    expect(answerTo({ method }, as)).toMatchObject({ kind: 'impossible', why: expect.stringContaining(method) })
  }
})

describe('an export as a test', () => {
  type Answers = { status?: number; headers?: Record<string, string | string[]>; body?: string }

  async function originWith(answers: Answers) {
    const requests: http.IncomingMessage[] = []
    const server = http.createServer((request, response) => {
      requests.push(request)
      response.writeHead(answers.status ?? 200, { 'Content-Type': 'application/json', ...answers.headers })
      response.end(answers.body)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close().closeAllConnections())
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: requests, answers }
  }

  /** The results of vitest for each exported file, run as a person runs it. */
  async function verdictsOf(texts: readonly string[], env: Readonly<Record<string, string>> = {}) {
    // Inside the project, so that vitest and supertest are found.
    const cwd = await mkdtemp(join(import.meta.dirname, '../../../.export-'))
    onTestFinished(() => rm(cwd, { recursive: true, force: true }))
    const names = texts.map((_, i) => `${String(i).padStart(3, '0')}.test.ts`)
    await Promise.all(texts.map((text, i) => writeFile(join(cwd, names[i]!), text)))
    const vitest = join(import.meta.dirname, '../../../node_modules/vitest/vitest.mjs')
    const report = join(cwd, 'report.json')
    const args = [vitest, 'run', '--root', cwd, '--no-isolate', '--reporter', 'json', '--outputFile', report]
    await run(process.execPath, args, cwd, env).catch(() => 'some failed, and the report says which')
    const { testResults } = JSON.parse(await readFile(report, 'utf8')) as Report
    return testResults
      .toSorted((first, other) => (first.name < other.name ? -1 : 1))
      .map((file) => ({ statuses: file.assertionResults.map(({ status }) => status), why: JSON.stringify(file) }))
  }
  type Report = { testResults: { name: string; assertionResults: { status: string }[] }[] }

  async function verdictOf(text: string, env: Readonly<Record<string, string>> = {}) {
    const [verdict] = await verdictsOf([text], env)
    return verdict!
  }

  const json = (value: unknown): Answers => ({ body: JSON.stringify(value) })
  const WRONG = { statuses: ['failed'] }
  const MENDED = { statuses: ['passed'] }

  test('fails on the difference and passes when it is fixed, despite noise elsewhere', async () => {
    const legacy = await originWith(json({ at: 1, items: [{ price: 10 }, { price: 12.5 }] }))
    const service = await originWith(json({ at: 2, items: [{ price: 10 }, { price: 12.51 }] }))
    const urls = { legacy: legacy.url, service: service.url }
    const { text } = exported({ target: '/products?page=2', headers: ['Accept', 'application/json'], urls }, 'vitest')
    const wrong = await verdictOf(text)
    expect(wrong).toMatchObject(WRONG)
    expect(wrong.why).toContain('12.51')
    expect(legacy.asked[0]).toMatchObject({
      url: '/products?page=2',
      method: 'GET',
      headers: { accept: 'application/json' },
    })
    expect(service.asked[0]).toMatchObject({ url: '/products?page=2' })
    service.answers.body = JSON.stringify({ at: 3, items: [{ price: 10 }, { price: 12.5 }] })
    expect(await verdictOf(text)).toMatchObject(MENDED)
  })

  /** The response of legacy, a wrong response of the service, and a correct one. */
  const CASES: readonly (readonly [Field, Answers, Answers, Answers])[] = [
    ['status status', {}, { status: 404 }, {}],
    ['missing $.a.b', json({ a: { b: 1 } }), json({ a: {} }), json({ a: { b: 2 } })],
    ['missing $.a[*]', json({ a: [1, 2] }), json({ a: [1, 3] }), json({ a: [2, 1] })],
    ['length $.a', json({ a: [1, 2] }), json({ a: [1] }), json({ a: [3, 4] })],
    ['type $.a', json({ a: 1 }), json({ a: '1' }), json({ a: 2 })],
    ['null $.a', json({ a: 1 }), json({ a: null }), json({ a: 2 })],
    ['order $.a', json({ a: [1, 2] }), json({ a: [2, 1] }), json({ a: [1, 2] })],
    [
      'value $["odd \\"name\\""].*',
      json({ 'odd "name"': { 17: 1 } }),
      json({ 'odd "name"': { 17: 2 } }),
      json({ 'odd "name"': { 17: 1 } }),
    ],
    ['malformed $', json({}), { body: '<html>' }, json([])],
    ['missing header.x-a', { headers: { 'X-A': '1' } }, {}, { headers: { 'X-A': '2' } }],
    [
      'value header.cache-control',
      { headers: { 'Cache-Control': 'no-store' } },
      { headers: { 'Cache-Control': 'public' } },
      { headers: { 'Cache-Control': 'no-store' } },
    ],
    [
      'value cookie.sid.samesite',
      { headers: { 'Set-Cookie': ['sid=1; SameSite=Lax'] } },
      { headers: { 'Set-Cookie': ['sid=2; SameSite=None'] } },
      { headers: { 'Set-Cookie': ['x=1', 'sid=3; Path=/; SameSite=Lax'] } },
    ],
    ['missing cookie.sid', { headers: { 'Set-Cookie': ['sid=1'] } }, {}, { headers: { 'Set-Cookie': ['sid=9'] } }],
  ]

  test('checks only its own difference, for each kind', async () => {
    const sides = await Promise.all(
      CASES.map(async ([, right, wrong]) => [await originWith(right), await originWith(wrong)] as const),
    )
    const texts = CASES.map(([field], i) => {
      const [legacy, service] = sides[i]!
      return exported({ field, urls: { legacy: legacy.url, service: service.url } }, 'vitest').text
    })
    const wrong = await verdictsOf(texts)
    expect(wrong.map(({ statuses }) => statuses)).toEqual(CASES.map(() => ['failed']))
    for (const { why } of wrong) expect(why).toContain('to deeply equal')
    sides.forEach(([, service], i) => {
      for (const key of ['status', 'headers', 'body'] as const) delete service.answers[key]
      Object.assign(service.answers, CASES[i]![3])
    })
    const mended = await verdictsOf(texts)
    expect(mended.map(({ statuses }) => statuses)).toEqual(CASES.map(() => ['passed']))
  })

  test('compares the text of a body that is not JSON, and mentions it', async () => {
    const html = (body: string): Answers => ({ headers: { 'Content-Type': 'text/html' }, body })
    const [legacy, service] = [await originWith(html('<p>a</p>')), await originWith(html('<p>b</p>'))]
    const base = exampleOf().legacy
    const page = { ...base, headers: ['Content-Type', 'text/html'].map(masked), body: null }
    const recorded = { field: 'value $.html.body.p' as const, example: { legacy: page, service: page } }
    const { text } = exported({ ...recorded, urls: { legacy: legacy.url, service: service.url } }, 'vitest')
    expect(text).toContain('// The body is not JSON')
    expect(await verdictOf(text)).toMatchObject(WRONG)
    service.answers.body = '<p>a</p>'
    expect(await verdictOf(text)).toMatchObject(MENDED)
  })

  test('requires a variable for each masked value and sends it', async () => {
    const [legacy, service] = [await originWith(json({})), await originWith(json({}))]
    const urls = { legacy: legacy.url, service: service.url }
    const recorded = { target: '/u/<email>', headers: ['Cookie', '<secret>', 'Cookie', '<secret>'], urls }
    const { text, variables } = exported(recorded, 'vitest')
    expect(variables).toEqual(['MASKED_TARGET_1', 'MASKED_COOKIE', 'MASKED_COOKIE_2'])
    const unset = await verdictOf(text)
    expect(unset.why).toContain('set MASKED_')
    const set = await verdictOf(text, { MASKED_TARGET_1: 'me', MASKED_COOKIE: 'a=1', MASKED_COOKIE_2: 'b=2' })
    expect(set, set.why).toMatchObject(MENDED)
    expect(service.asked[0]).toMatchObject({ url: '/u/me', headers: { cookie: 'a=1; b=2' } })
  })

  test('never runs hostile text', async () => {
    const [legacy, service] = [await originWith(json({})), await originWith(json({}))]
    const hostile = [
      '"+process.exit(7)+"',
      `\${process.exit(7)}`,
      '*/ process.exit(7) /*',
      '\n process.exit(7)\n//',
      '\u2028process.exit(7)//',
      '\\',
    ]
    const urls = { legacy: legacy.url, service: service.url }
    const texts = hostile.map((word) => {
      const recorded = { target: `/${encodeURI(word)}?${word}`, headers: ['X-A', word], urls }
      return exported({ ...recorded, field: `value $.${word}` }, 'vitest').text
    })
    for (const text of texts) expect(text).not.toMatch(/[\u2028\u2029]/)
    for (const { statuses, why } of await verdictsOf(texts)) {
      // A request that Node refuses to send fails its test, but it neither ends the process nor breaks the file.
      expect(statuses.length, why).toBe(1)
      expect(why).not.toContain('process.exit unexpectedly called')
    }
  })
})
