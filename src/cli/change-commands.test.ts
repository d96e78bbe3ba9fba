// The commands that make a change: their requests, and their output after success and failure.
import { describe, expect, it } from 'vitest'
import { changeReply, startApi, strangler } from './client/admin-api.test-kit.ts'

const LAGGARDS = {
  converged: false,
  convergence: {
    applied: 5,
    of: 6,
    ms: 5012,
    laggards: [{ id: 'gw-3', address: 'http://10.0.0.9:8081', why: 'silent for 12 s' }],
    inFlight: 0,
  },
}

describe('a change', () => {
  it('prints one line when every gateway has applied it', async () => {
    const api = await startApi(changeReply({}))
    const { code, stdout, stderr } = await strangler(['flip', 'catalog', '25', '--reason', 'week two'], { api })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toBe('catalog: 10 % → 25 %, applied on 6 of 6 gateways in 84 ms\n')
    expect(api.requests).toHaveLength(1)
    expect(api.requests[0]).toMatchObject({
      method: 'PUT',
      path: '/contexts/catalog/flag',
      body: { percentage: 25, reason: 'week two' },
    })
    expect(api.requests[0]?.headers).toMatchObject({ authorization: 'Bearer secret-token' })
    expect(api.requests[0]?.headers['if-match']).toBeUndefined()
  })

  it('names the gateways that lag, and exits 3', async () => {
    const api = await startApi(changeReply(LAGGARDS))
    const { code, stdout } = await strangler(['flip', 'catalog', '25'], { api })
    expect(code).toBe(3)
    expect(stdout).toContain('catalog: 10 % → 25 %, applied on 5 of 6 gateways only, after 5 s; not yet on:\n')
    expect(stdout).toContain('\n  gw-3 at http://10.0.0.9:8081: silent for 12 s\n')
  })

  it('prints the unchanged response with --json, with the same exit code', async () => {
    const response = { ...changeReply(LAGGARDS).json, ofALaterVersion: { kept: true } }
    const api = await startApi({ json: response })
    const { code, stdout } = await strangler(['flip', 'catalog', '25', '--json'], { api })
    expect(code).toBe(3)
    expect(JSON.parse(stdout)).toEqual(response)
  })

  it('prints active requests of the old side, and the note of the gateway', async () => {
    const convergence = { applied: 1, of: 1, ms: 3, laggards: [], inFlight: 2 }
    const api = await startApi(changeReply({ note: 'it is pinned to legacy by ada', convergence }))
    const { stdout } = await strangler(['flip', 'catalog', '25'], { api })
    expect(stdout).toContain('the old side still answers 2 requests that began before the change')
    expect(stdout).toContain('note: it is pinned to legacy by ada')
  })

  it('escapes control characters in the response', async () => {
    const note = 'red \u001b[31m, back\u202ewards, new\nline, c1 \u009b31m'
    const api = await startApi(changeReply({ context: 'cat\u001b]0;x\u0007', note }))
    for (const args of [[], ['--json']]) {
      const { stdout } = await strangler(['flip', 'catalog', '25', ...args], { api })
      expect(stdout.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
      expect(stdout).toContain('\\u001b[31m')
    }
  })

  it('sends If-Match with --if-generation', async () => {
    const api = await startApi(changeReply({}))
    await strangler(['flip', 'catalog', '25', '--if-generation', '7'], { api })
    expect(api.requests[0]?.headers['if-match']).toBe('"7"')
  })
})

describe('the command', () => {
  const NOW = Date.now()
  const cases: [
    string[],
    { method: string; path: string; body?: unknown },
    Parameters<typeof changeReply>[0],
    RegExp,
  ][] = [
    [
      ['flip', 'catalog', '25%'],
      { method: 'PUT', path: '/contexts/catalog/flag', body: { percentage: 25 } },
      { before: null },
      /^catalog: at 25 %, applied/,
    ],
    [
      ['pin', 'catalog', 'legacy', '--for', '30m'],
      { method: 'PUT', path: '/contexts/catalog/pin', body: { side: 'legacy', for: '30m' } },
      { verb: 'pin', before: null, after: { side: 'legacy', until: NOW }, until: NOW + 30 * 60_000 },
      /^catalog: pinned to legacy until (\d{4}-\d\d-\d\d )?\d\d:\d\d \(in (30|29) min\), applied/,
    ],
    [
      ['pin', 'catalog', 'service', '--no-end'],
      { method: 'PUT', path: '/contexts/catalog/pin', body: { side: 'service', noEnd: true } },
      { verb: 'pin', before: null, after: { side: 'service', until: null } },
      /^catalog: pinned to service without end, applied/,
    ],
    [
      ['unpin', 'catalog', '--reason', 'a & b'],
      { method: 'DELETE', path: '/contexts/catalog/pin?reason=a+%26+b', body: undefined },
      { verb: 'unpin', before: { side: 'legacy', until: null }, after: null },
      /^catalog: no longer pinned to legacy, applied/,
    ],
    [
      ['rollback', 'catalog'],
      { method: 'POST', path: '/contexts/catalog/rollback', body: {} },
      { verb: 'rollback', before: { pin: null, percentage: 25 }, after: { pin: 'legacy', percentage: 0 } },
      /^catalog: rolled back, everything to legacy, applied on 6 of 6 .*\n(.*\n)*.*when the service is fixed, run strangler unpin catalog/,
    ],
    [
      ['rollback', 'catalog', '--force', '--reason', 'fire'],
      { method: 'POST', path: '/contexts/catalog/rollback', body: { force: true, reason: 'fire' } },
      { verb: 'rollback' },
      /^catalog: rolled back/,
    ],
    [
      ['freeze', 'black/friday'],
      { method: 'PUT', path: '/contexts/black%2Ffriday/freeze', body: {} },
      { context: 'black/friday', verb: 'freeze', before: 'thawed', after: 'frozen' },
      /^black\/friday: frozen: only rollback and kill may move it, applied/,
    ],
    [
      ['thaw', 'catalog'],
      { method: 'DELETE', path: '/contexts/catalog/freeze', body: undefined },
      { verb: 'thaw', before: 'frozen', after: 'thawed' },
      /^catalog: thawed, applied/,
    ],
    [
      ['shadow', 'catalog', '10', '--reason', 'a look'],
      { method: 'PUT', path: '/contexts/catalog/shadow', body: { percentage: 10, reason: 'a look' } },
      { verb: 'shadow', before: null, after: 10 },
      /^catalog: shadowed at 10 %, applied/,
    ],
    [
      ['shadow', 'catalog', '0%'],
      { method: 'PUT', path: '/contexts/catalog/shadow', body: { percentage: 0 } },
      { verb: 'shadow', before: 10, after: 0, note: 'so it is' },
      /^catalog: shadowed at 10 % → 0 %, applied .*\n +note: so it is$/m,
    ],
    [
      ['shadow', 'catalog', '--as-configured'],
      { method: 'DELETE', path: '/contexts/catalog/shadow', body: undefined },
      { verb: 'shadow', before: 10, after: null },
      /^catalog: shadowed as its config says, applied/,
    ],
    [
      ['kill', '--reason', 'fire'],
      { method: 'PUT', path: '/kill-switch', body: { reason: 'fire' } },
      { verb: 'kill', context: null, before: false, after: true },
      /^everything goes to legacy, applied on 6 of 6 .*\n.*strangler revive/,
    ],
    [
      ['revive'],
      { method: 'DELETE', path: '/kill-switch', body: undefined },
      { verb: 'revive', context: null, before: true, after: false },
      /^pins and flags decide again, applied/,
    ],
  ]

  it.each(cases)(
    '%j sends its request and prints the new state',
    async (args, expectedRequest, answer, expectedText) => {
      const api = await startApi(changeReply(answer))
      const { code, stdout, stderr } = await strangler(args, { api })
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(api.requests[0]).toMatchObject(expectedRequest)
      expect(stdout).toMatch(expectedText)
    },
  )
})

describe('a mistake in the arguments', () => {
  it.each([
    [['flip'], /give the context/],
    [['flip', 'catalog'], /give the percentage/],
    [['flip', 'catalog', '101'], /whole, from 0 to 100 \(found "101"\)/],
    [['flip', 'catalog', '2.5'], /whole, from 0 to 100/],
    [['flip', 'catalog', '25', '30'], /"30" is one argument too many/],
    [['shadow'], /give the context/],
    [['shadow', 'catalog'], /give the percentage: strangler shadow catalog 10, or --as-configured/],
    [['shadow', 'catalog', '0.1'], /whole, from 0 to 100 \(found "0\.1"\)/],
    [['shadow', 'catalog', '101'], /whole, from 0 to 100/],
    [['shadow', 'catalog', '10', '--as-configured'], /a percentage and --as-configured exclude each other/],
    [['flip', '..', '25'], /there is no context "\.\."/],
    [['flip', 'catalog', '25', '--if-generation', 'x'], /--if-generation: must be a whole number/],
    [['flip', 'catalog', '25', '--reason', ' '], /--reason: must not be empty/],
    [['pin', 'catalog', 'legacy'], /--for 30m, or --no-end/],
    [['pin', 'catalog', 'legacy', '--for', '30m', '--no-end'], /--for and --no-end exclude each other/],
    [['pin', 'catalog', 'old', '--for', '30m'], /legacy or service \(found "old"\)/],
    [['pin', 'catalog', 'legacy', '--for', '30'], /--for: must be a duration such as 90s/],
    [['history', '--limit', '0'], /--limit: must be a whole number from 1 to 200/],
    [['history', '--all'], /add --json/],
    [['status', '--url', 'localhost:8081'], /--url: must be the address of an admin port/],
    [['status', '--url', 'http://a:b@c'], /--url: must have no password/],
  ])('in %j sends no request and exits 2', async (args, sentence) => {
    const { code, stdout, stderr } = await strangler(args, { env: { STRANGLER_URL: 'http://127.0.0.1:1' } })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(sentence)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })

  it('is a missing reason if CI is set, and no request is sent', async () => {
    const api = await startApi(changeReply({}))
    const { code, stderr } = await strangler(['flip', 'catalog', '25'], { api, env: { CI: 'true' } })
    expect(code).toBe(2)
    expect(stderr).toMatch(/give --reason TEXT: a reason is required because the variable CI is set/)
    expect(api.requests).toHaveLength(0)
    expect((await strangler(['flip', 'catalog', '25'], { api, env: { CI: 'false' } })).code).toBe(0)
    expect((await strangler(['flip', 'catalog', '25', '--reason', 'x'], { api, env: { CI: '1' } })).code).toBe(0)
  })
})
