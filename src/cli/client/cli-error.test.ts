// Errors of the client: each is one sentence with advice, and an exit code for scripts.
import { createServer } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { changeReply, EMPTY_STATUS, problem, startApi, strangler, type TestReply } from './admin-api.test-kit.ts'

const FLIP = ['flip', 'catalog', '25']

async function runWith(reply: TestReply, args: readonly string[] = FLIP) {
  const api = await startApi(reply)
  const ran = await strangler(args, { api })
  expect(ran.stderr.trim().split('\n')).toHaveLength(1)
  expect(ran.stderr).not.toMatch(/Error|\bat .*:\d+|undefined|secret-token/)
  return { ...ran, api }
}

describe('a command that the gateway refuses', () => {
  const cases: [string, TestReply, number, RegExp][] = [
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
      /this token does not allow this operation: flip requires the role operator/,
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

  it.each(cases)('with %s exits with its code and prints one sentence', async (_code, reply, code, sentence) => {
    const result = await runWith(reply)
    expect(result.code).toBe(code)
    expect(result.stdout).toBe('')
    expect(result.stderr).toMatch(sentence)
  })

  it('with an unknown context suggests a similar name, or lists the contexts', async () => {
    const names = ['catalog', 'orders']
    const near = await runWith(problem('unknown-context', { known: names }), ['rollback', 'catlog'])
    expect(near.code).toBe(2)
    expect(near.stderr).toBe('strangler rollback: there is no context "catlog"; did you mean "catalog"?\n')
    const far = await runWith(problem('unknown-context', { known: names }), ['unpin', 'x', '--reason', 'y'])
    expect(far.stderr).toBe('strangler unpin: there is no context "x"; valid names: catalog, orders\n')
  })

  it('prints the problem as JSON with --json', async () => {
    const reply = problem('conflict', { detail: 'ada', generation: 9 })
    const { code, stdout } = await runWith(reply, [...FLIP, '--json'])
    expect(code).toBe(4)
    expect(JSON.parse(stdout)).toMatchObject({ code: 'conflict', status: 409, generation: 9 })
  })

  it('escapes control characters of the answer', async () => {
    const { stderr } = await runWith(problem('refused', { detail: 'a\u001b[2Jb\u202e' }))
    expect(stderr).toContain('a\\u001b[2Jb\\u202e')
  })
})

describe('a server that is not a gateway', () => {
  it.each<[string, TestReply, RegExp]>([
    [
      'an error page of a web server',
      { status: 404, html: '<h1>Not found</h1>' },
      /it is not the admin port of a gateway/,
    ],
    ['a failing proxy', { status: 502, html: '<h1>Bad gateway</h1>' }, /answers 502.*the change may have been made/],
    ['a page', { status: 200, html: '<h1>Welcome</h1>' }, /it is not the admin port/],
    ['other JSON', { json: { hello: 'world' } }, /it is not the admin port/],
    ['a redirect', { status: 302, json: {}, headers: { location: 'http://127.0.0.1:1/' } }, /redirects \(http/],
  ])('with %s is recognized, and the command exits 5', async (_what, reply, sentence) => {
    const { code, stdout, stderr } = await runWith(reply)
    expect({ code, stdout }).toEqual({ code: 5, stdout: '' })
    expect(stderr).toMatch(sentence)
  })

  it('has another message than a port without a listener', async () => {
    const api = await startApi()
    await api.close()
    const named = await strangler(['status'], { api })
    expect(named.code).toBe(5)
    expect(named.stderr).toMatch(/nothing listens on http:\/\/127\.0\.0\.1:\d+; check that the gateway runs/)
    const here = await strangler(['status'], { env: { STRANGLER_ADMIN_PORT: new URL(api.url).port } })
    expect(here.stderr).toMatch(/start a gateway here, or name one with --url/)
  })

  it('is recognized if it speaks another protocol', async () => {
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
  it('is retried once with the same key, so that the change is made once', async () => {
    const api = await startApi('lost', changeReply({}))
    const { code, stdout } = await strangler(FLIP, { api })
    expect(code).toBe(0)
    expect(stdout).toContain('10 % → 25 %')
    const [first, second] = api.requests.map(({ headers }) => headers['idempotency-key'])
    expect(first).toMatch(/^[\w-]{16,}$/)
    expect(second).toBe(first)
  })

  it('is retried until the first request with the same key is complete', async () => {
    const api = await startApi('lost', problem('in-progress'), changeReply({}))
    const { code } = await strangler(FLIP, { api })
    expect(code).toBe(0)
    expect(api.requests).toHaveLength(3)
  })

  it('is an error after the second loss, and the message says that the change may have been made', async () => {
    const api = await startApi('lost')
    const { code, stderr } = await strangler(FLIP, { api })
    expect(code).toBe(5)
    expect(api.requests).toHaveLength(2)
    expect(stderr).toMatch(
      /closed the connection twice without an answer; the change may have been made: check strangler history/,
    )
    expect((await strangler(['status'], { api })).stderr).not.toMatch(/may have been made/)
  })

  it('does not affect the next command, which has a key of its own', async () => {
    const api = await startApi(changeReply({}))
    await Promise.all([strangler(FLIP, { api }), strangler(FLIP, { api })])
    const keys = api.requests.map(({ headers }) => headers['idempotency-key'])
    expect(new Set(keys).size).toBe(2)
  })
})

describe('a gateway of another version', () => {
  it('may send members that this version does not know', async () => {
    const api = await startApi({ json: { ...EMPTY_STATUS, more: 1 } })
    expect((await strangler(['status'], { api })).code).toBe(0)
  })
})
