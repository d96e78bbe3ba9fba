// Whatever a gateway, or what is no gateway, answers: one sentence that says what to do, and an exit code to go by.
import { createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { changeReply, EMPTY_STATUS, problem, type Reply, startApi, strangler } from './admin-api.test-kit.ts'

const FLIP = ['flip', 'catalog', '25']

async function runWith(reply: Reply, args: readonly string[] = FLIP) {
  const api = await startApi(reply)
  const ran = await strangler(args, { api })
  expect(ran.stderr.trim().split('\n')).toHaveLength(1)
  expect(ran.stderr).not.toMatch(/Error|\bat .*:\d+|undefined|secret-token/)
  return { ...ran, api }
}

describe('a gateway that does not do it', () => {
  const cases: [string, Reply, number, RegExp][] = [
    ['unauthenticated', problem('unauthenticated'), 1, /requires a token: set STRANGLER_TOKEN/],
    [
      'invalid-token',
      problem('invalid-token', { detail: 'it is over' }),
      1,
      /does not accept the token of this command: it is over/,
    ],
    [
      'forbidden',
      problem('forbidden', { detail: 'flip requires the role operator' }),
      1,
      /this token does not allow it: flip requires the role operator/,
    ],
    ['refused', problem('refused', { detail: '"catalog" is frozen by ada' }), 1, /"catalog" is frozen by ada/],
    ['bug', problem('bug'), 1, /its log has the error; the change may have been made/],
    ['not-found', problem('not-found'), 1, /runs another version/],
    ['foreign-host', problem('foreign-host'), 1, /--admin-names 127\.0\.0\.1/],
    ['reason-required', problem('reason-required'), 2, /--reason TEXT/],
    [
      'bad-body',
      problem('bad-body', { detail: 'not that', mistakes: [{ path: 'for', message: 'must be short' }] }),
      2,
      /not that; for must be short/,
    ],
    [
      'conflict',
      problem('conflict', { detail: 'ada moved it to 50 %', generation: 9 }),
      4,
      /ada moved it to 50 %; nothing was changed/,
    ],
    [
      'precondition-failed',
      problem('precondition-failed', { detail: 'ada pinned it' }),
      4,
      /ada pinned it; nothing was changed/,
    ],
    ['unavailable', problem('unavailable', { detail: 'Redis does not answer' }), 5, /Redis does not answer/],
    [
      'too-many-failures',
      { ...(problem('too-many-failures') as { status: number; json: unknown }), headers: { 'retry-after': '30' } },
      5,
      /too many failed attempts; try again in 30 s/,
    ],
  ]

  it.each(cases)('for %s says so', async (_code, reply, code, sentence) => {
    const result = await runWith(reply)
    expect(result.code).toBe(code)
    expect(result.stdout).toBe('')
    expect(result.stderr).toMatch(sentence)
  })

  it('for an unknown context says which was meant, or which there are', async () => {
    const names = ['catalog', 'orders']
    const near = await runWith(problem('unknown-context', { known: names }), ['rollback', 'catlog'])
    expect(near.code).toBe(2)
    expect(near.stderr).toBe('strangler rollback: there is no context "catlog"; did you mean "catalog"?\n')
    const far = await runWith(problem('unknown-context', { known: names }), ['unpin', 'x', '--reason', 'y'])
    expect(far.stderr).toBe('strangler unpin: there is no context "x"; valid names: catalog, orders\n')
  })

  it('gives its problem as JSON too', async () => {
    const reply = problem('conflict', { detail: 'ada', generation: 9 })
    const { code, stdout } = await runWith(reply, [...FLIP, '--json'])
    expect(code).toBe(4)
    expect(JSON.parse(stdout)).toMatchObject({ code: 'conflict', status: 409, generation: 9 })
  })

  it('is not believed to be printable', async () => {
    const { stderr } = await runWith(problem('refused', { detail: 'a\u001b[2Jb\u202e' }))
    expect(stderr).toContain('a\\u001b[2Jb\\u202e')
  })
})

describe('what is no gateway', () => {
  it.each<[string, Reply, RegExp]>([
    [
      'an error page of a web server',
      { status: 404, html: '<h1>Not found</h1>' },
      /it is not the admin port of a gateway/,
    ],
    ['a failing proxy', { status: 502, html: '<h1>Bad gateway</h1>' }, /answers 502.*the change may have been made/],
    ['a page', { status: 200, html: '<h1>Welcome</h1>' }, /it is not the admin port/],
    ['other JSON', { json: { hello: 'world' } }, /it is not the admin port/],
    ['a redirect', { status: 302, json: {}, headers: { location: 'http://127.0.0.1:1/' } }, /redirects \(http/],
  ])('%s is recognized, and exits 5', async (_what, reply, sentence) => {
    const { code, stdout, stderr } = await runWith(reply)
    expect({ code, stdout }).toEqual({ code: 5, stdout: '' })
    expect(stderr).toMatch(sentence)
  })

  it('is told from nobody at all', async () => {
    const api = await startApi()
    await api.close()
    const named = await strangler(['status'], { api })
    expect(named.code).toBe(5)
    expect(named.stderr).toMatch(/nothing listens on http:\/\/127\.0\.0\.1:\d+; check that the gateway runs/)
    const here = await strangler(['status'], { env: { STRANGLER_ADMIN_PORT: new URL(api.url).port } })
    expect(here.stderr).toMatch(/start a gateway here, or name one with --url/)
  })

  it('may speak another protocol', async () => {
    const server = createServer((socket) => socket.end('220 mail.example.com ESMTP\r\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as { port: number }
    const { code, stderr } = await strangler(['status', '--url', `http://127.0.0.1:${port}`])
    expect(code).toBe(5)
    expect(stderr).toMatch(/does not speak HTTP/)
  })
})

describe('a lost connection', () => {
  it('is made anew once, with the same key, so that nothing is done twice', async () => {
    const api = await startApi('lost', changeReply({}))
    const { code, stdout } = await strangler(FLIP, { api })
    expect(code).toBe(0)
    expect(stdout).toContain('10 % → 25 %')
    const [first, second] = api.requests.map(({ headers }) => headers['idempotency-key'])
    expect(first).toMatch(/^[\w-]{16,}$/)
    expect(second).toBe(first)
  })

  it('waits for what is still under way with that key', async () => {
    const api = await startApi('lost', problem('in-progress'), changeReply({}))
    const { code } = await strangler(FLIP, { api })
    expect(code).toBe(0)
    expect(api.requests).toHaveLength(3)
  })

  it('is given up the second time, and the doubt is said', async () => {
    const api = await startApi('lost')
    const { code, stderr } = await strangler(FLIP, { api })
    expect(code).toBe(5)
    expect(api.requests).toHaveLength(2)
    expect(stderr).toMatch(
      /closed the connection twice without an answer; the change may have been made: check strangler history/,
    )
    expect((await strangler(['status'], { api })).stderr).not.toMatch(/may have been made/)
  })

  it('is another wish with the next command', async () => {
    const api = await startApi(changeReply({}))
    await Promise.all([strangler(FLIP, { api }), strangler(FLIP, { api })])
    const keys = api.requests.map(({ headers }) => headers['idempotency-key'])
    expect(new Set(keys).size).toBe(2)
  })
})

describe('a gateway of another version', () => {
  it('may say more than we know', async () => {
    const api = await startApi({ json: { ...EMPTY_STATUS, more: 1 } })
    expect((await strangler(['status'], { api })).code).toBe(0)
  })
})
