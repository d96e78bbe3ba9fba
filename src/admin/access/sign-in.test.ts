import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import request from 'supertest'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connectRaw } from '../../../test/kit/raw.ts'
import { AUDIENCE, base64url, goodClaims, ISSUER, pemOf, rsaPair, signed } from '../../../test/kit/tokens.ts'
import { until } from '../../../test/kit/until.ts'
import { manualClock, NOON } from '../../lib/manual-clock.test-kit.ts'
import { ROLES, type Role } from '../../model/shared-state.ts'
import { PRICE, ROUTE } from '../../shadow/report/comparison-reports.test-kit.ts'
import { fingerprintOf } from '../../shadow/stats/fingerprint.ts'
import { createTestAdmin, startTestAdmin, type TestAdmin, TOKEN } from '../admin.test-kit.ts'
import { isChange } from '../http/api-route.ts'
import { NetworkMap, networkOf } from '../http/network-map.ts'
import { ApiRefusal } from '../http/problem.ts'
import { API_ROUTES } from '../http/routes.ts'
import { createFileTokenCheck, createTokenCheck } from './admin-token.ts'
import { Guesses } from './guesses.ts'
import { createSignIn, TOKEN_BEARER } from './sign-in.ts'
import { PACE } from './signature-turns.ts'
import { type Actor, createVerifyJwt, type JwtPolicy, type VerifyJwt } from './verify-jwt.ts'

const HERE = '10.0.0.1'
const ANN: Actor = { name: 'ann', role: 'operator', expiresAt: undefined }
const WRONG = new ApiRefusal('invalid-token')
const bearer = (token: string) => ['Host', 'localhost', 'Authorization', `Bearer ${token}`]

/** Lets in who says `good…`; counts how often a signature was looked at. */
function signing(verify: VerifyJwt = async (token) => (token.startsWith('good') ? ANN : WRONG)) {
  const clock = manualClock()
  const seen: string[] = []
  const verifyJwt: VerifyJwt = (token) => {
    seen.push(token)
    return verify(token)
  }
  const signIn = createSignIn({ isToken: createTokenCheck(TOKEN), verifyJwt, now: clock.now })
  const say = (token: string, address = HERE) => signIn(address, bearer(token))
  const codeOf = async (token: string, address = HERE) => {
    const result = await say(token, address)
    return result instanceof ApiRefusal ? result.code : result.name
  }
  return { clock, seen, signIn, say, codeOf }
}

const times = <Value>(count: number, make: (i: number) => Value) => Array.from({ length: count }, (_, i) => make(i))

describe('sign-in', () => {
  const fieldsOf = (...values: string[]) => values.flatMap((value) => ['authorization', value])

  test.each<[string, string[], string]>([
    ['the scheme Bearer', [`Bearer ${TOKEN}`], 'admin-token'],
    ['the scheme in mixed case, with several spaces', [`bEARER   ${TOKEN}`], 'admin-token'],
    ['no Authorization field', [], 'unauthenticated'],
    ['an empty field', [''], 'unauthenticated'],
    ['a token without a scheme', [TOKEN], 'unauthenticated'],
    ['another scheme', [`Basic ${TOKEN}`], 'unauthenticated'],
    ['a word after the token', [`Bearer ${TOKEN} x`], 'unauthenticated'],
    ['two Authorization fields', [`Bearer ${TOKEN}`, `Bearer ${TOKEN}`], 'unauthenticated'],
    ['a second Authorization field after a wrong one', ['Bearer wrong', `Bearer ${TOKEN}`], 'unauthenticated'],
    ['a list of tokens', [`Bearer wrong, Bearer ${TOKEN}`], 'unauthenticated'],
  ])('with %s results in %s', async (_, values, expected) => {
    const result = await signing().signIn(HERE, fieldsOf(...values))
    expect(result instanceof ApiRefusal ? result.code : result.name).toBe(expected)
    if (result instanceof ApiRefusal) expect(result.headers).toEqual({ 'WWW-Authenticate': 'Bearer' })
  })

  test.each([`?access_token=${TOKEN}`, `?token=${TOKEN}`])('ignores a token in the query: %s', async (query) => {
    const { ask } = await createTestAdmin()
    await ask('get', `/status${query}`, null).expect(401)
  })

  test('ignores a token in a cookie', async () => {
    const { ask } = await createTestAdmin()
    await ask('get', '/status', null).set('Cookie', `token=${TOKEN}; Authorization=Bearer ${TOKEN}`).expect(401)
  })
})

describe('failed sign-ins', () => {
  test.each<[string, string[]]>([
    ['different wrong tokens', times(20, (i) => `wrong-${i}`)],
    ['the same wrong token', times(20, () => 'wrong')],
  ])('with %s are answered 401 ten times, and then once in six seconds', async (_, tokens) => {
    const { codeOf, say, clock } = signing()
    const codes = []
    for (const token of tokens) codes.push(await codeOf(token))
    expect(codes).toEqual([...times(10, () => 'invalid-token'), ...times(10, () => 'too-many-failures')])
    expect(await say('wrong-x')).toMatchObject({ status: 429, headers: { 'Retry-After': '6' } })
    clock.advance(6_000)
    expect([await codeOf('wrong-y'), await codeOf('wrong-z')]).toEqual(['invalid-token', 'too-many-failures'])
  })

  test('without a token count as failures too', async () => {
    const { signIn } = signing()
    const refusals = await Promise.all(times(11, () => signIn(HERE, [])))
    expect(refusals.map((refusal) => (refusal as ApiRefusal).status)).toEqual([...times(10, () => 401), 429])
  })

  test('are limited for all networks together', async () => {
    const { codeOf, clock } = signing()
    const codes = []
    for (let i = 0; i < 250; i++) codes.push(await codeOf('wrong', `10.1.${i}.1`))
    expect(codes.filter((code) => code === 'invalid-token')).toHaveLength(200)
    expect(codes.at(-1)).toBe('too-many-failures')
    clock.advance(100)
    expect(await codeOf('wrong', '10.2.0.1')).toBe('invalid-token')
  })

  test('are counted for an IPv6 network of 2^64 addresses together', () => {
    expect(networkOf('2001:db8:0:1::5')).toBe(networkOf('2001:DB8::1:ffff:ffff:ffff:ffff'))
    expect(networkOf('2001:db8:0:1::5')).not.toBe(networkOf('2001:db8:0:2::5'))
    expect(networkOf('::1')).toBe('0:0:0:0::/64')
    expect(networkOf('10.0.0.1')).not.toBe(networkOf('10.0.0.2'))
  })

  test('are remembered in bounded memory', async () => {
    const { codeOf } = signing()
    const networks = new NetworkMap(() => ({}))
    const guesses = new Guesses(
      async () => WRONG,
      () => 0,
    )
    const good = new Guesses(
      async () => ANN,
      () => 0,
    )
    for (let i = 0; i < 3000; i++) {
      networks.getOrCreate(`10.${i >> 8}.${i & 255}.1`)
      await guesses.verify(`10.${i >> 8}.${i & 255}.1`, 'wrong')
      await good.verify(HERE, `good-${i}`)
    }
    expect([networks.size, guesses.size, good.size]).toEqual([1000, 1000, 257])
    for (let i = 0; i < 3000; i++) await codeOf(`wrong-${i}`)
  })
})

describe('a valid token is accepted', () => {
  const elsewhere = '10.9.9.9'

  test.each(['from the same address', 'from another address'])('during a flood of wrong tokens %s', async (where) => {
    const { codeOf } = signing()
    await codeOf('good')
    for (let i = 0; i < 1000; i++) await codeOf(`wrong-${i}`)
    const from = where.includes('same') ? HERE : elsewhere
    expect([await codeOf(TOKEN, from), await codeOf('good', from)]).toEqual(['admin-token', 'ann'])
    expect(await codeOf('wrong', HERE)).toBe('too-many-failures')
  })

  test('during a flood of wrong tokens from many addresses', async () => {
    const { codeOf } = signing()
    for (let i = 0; i < 1000; i++) await codeOf(`wrong-${i}`, `10.${i >> 8}.${i & 255}.1`)
    expect([await codeOf(TOKEN, elsewhere), await codeOf('good', elsewhere)]).toEqual(['admin-token', 'ann'])
  })

  test('for fifty callers at once while the keys are being read', async () => {
    const keys = Promise.withResolvers<Actor>()
    const { say, seen } = signing(() => keys.promise)
    const results = times(50, () => say('good'))
    keys.resolve(ANN)
    expect(await Promise.all(results)).toEqual(Array(50).fill(ANN))
    expect(seen).toHaveLength(1)
  })

  test('for fifty callers at once while the file of the token is being read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'strangler-sign-in-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const clock = manualClock()
    const events = { adminTokenCreated: () => {}, stateNotSaved: () => {} }
    const isToken = await createFileTokenCheck(folder, events, clock.now)
    const token = (await readFile(join(folder, 'admin-token'), 'utf8')).trim()
    const signIn = createSignIn({ isToken, verifyJwt: undefined, now: clock.now })
    clock.advance(1001)
    const results = await Promise.all(times(50, () => signIn(HERE, bearer(token))))
    expect(results).toEqual(Array(50).fill(TOKEN_BEARER))
  })

  test('after the keys were unreachable, which does not count as a failure', async () => {
    let isReachable = false
    const { codeOf } = signing(async () => (isReachable ? ANN : new ApiRefusal('keys-unreachable')))
    for (let i = 0; i < 30; i++) expect(await codeOf(`good-${i}`)).toBe('keys-unreachable')
    isReachable = true
    expect(await codeOf('good-0')).toBe('ann')
  })

  test('once its nbf has passed', async () => {
    let holds = false
    const { codeOf, clock } = signing(async () => (holds ? ANN : WRONG))
    expect(await codeOf('early')).toBe('invalid-token')
    holds = true
    clock.advance(5_000)
    expect(await codeOf('early')).toBe('ann')
  })

  test('only after a check, even if it was valid before: it may have expired', async () => {
    let holds = true
    const { codeOf } = signing(async () => (holds ? ANN : WRONG))
    expect(await codeOf('good')).toBe('ann')
    holds = false
    expect(await codeOf('good')).toBe('invalid-token')
  })
})

// The attack: a signature check takes up to two milliseconds, and a token is made up in no time.
describe('a flood of well-formed tokens with a known key', () => {
  function flooded() {
    const checks: number[] = []
    const clock = manualClock()
    const verify = createVerifyJwt(JWT, () => 'unknown', clock.wallTime)
    const verifyJwt: VerifyJwt = (token, takeTurn) =>
      verify(token, (check) => {
        const counted = () => {
          checks.push(performance.now())
          return check()
        }
        return takeTurn === undefined ? Promise.resolve(counted()) : takeTurn(counted)
      })
    const signIn = createSignIn({ isToken: createTokenCheck(TOKEN), verifyJwt, now: clock.now })
    const say = (token: string, address = HERE, isGone?: () => boolean) => signIn(address, bearer(token), isGone)
    return { checks, say }
  }

  test('from the same address does not keep out a valid token that the gateway does not know', async () => {
    const { checks, say } = flooded()
    for (let i = 0; i < 20; i++) await say(junk(i))
    const flood = times(200, (i) => say(junk(100 + i)))
    const begun = performance.now()
    expect(await say(tokenOf('ann', 'operator'))).toMatchObject({ name: 'ann' })
    expect(performance.now() - begun).toBeLessThan(3_000)
    for (const result of await Promise.all(flood)) expect(result).toBeInstanceOf(ApiRefusal)
    expect(checks).toHaveLength(221)
  })

  test('costs ten signature checks in ten milliseconds at most, while other work goes on between them', async () => {
    const { checks, say } = flooded()
    const tokens = times(300, junk)
    const flood = Promise.all(tokens.map((token) => say(token)))
    await flood
    expect(checks).toHaveLength(300)
    checks.forEach((time, i) => {
      const later = checks[i + PACE.checks]
      if (later !== undefined) expect(later - time).toBeGreaterThan(PACE.everyMs - 4)
    })
  })

  test('from one network makes another network wait for a turn, and not for the whole flood', async () => {
    const { checks, say } = flooded()
    const flood = times(300, (i) => say(junk(i)))
    expect(await say(tokenOf('ann', 'operator'), '10.9.9.9')).toMatchObject({ name: 'ann' })
    expect(checks.length).toBeLessThan(2 * PACE.checks + 2)
    await Promise.all(flood)
  })

  test('costs no check once its callers have disconnected', async () => {
    const { checks, say } = flooded()
    await say(junk(0))
    let isGone = false
    const flood = times(300, (i) => say(junk(1 + i), HERE, () => isGone))
    isGone = true
    expect(await say(tokenOf('ann', 'operator'))).toMatchObject({ name: 'ann' })
    expect(checks).toHaveLength(2)
    for (const result of await Promise.all(flood)) expect(result).toMatchObject({ code: 'bad-request' })
  })

  test('that exceeds the queue displaces its own oldest caller', async () => {
    const { say } = flooded()
    await say(junk(0))
    const other = say(tokenOf('ann', 'operator'), '10.9.9.9')
    const tokens = times(600, junk)
    const result = await Promise.all(tokens.map((token) => say(token)))
    const codes = result.map((refusal) => (refusal as ApiRefusal).why)
    expect(codes[1]).toMatch(/too many tokens of this network wait/)
    expect(codes[599]).not.toMatch(/too many tokens/)
    expect(await other).toMatchObject({ name: 'ann' })
  })

  test('does not end the wait of a caller if another caller with the same token disconnects', async () => {
    const { say } = flooded()
    await say(junk(0))
    const left = say(tokenOf('ann', 'operator'), HERE, () => true)
    expect(await say(tokenOf('ann', 'operator'))).toMatchObject({ name: 'ann' })
    await left
  })
})

test('150 connections that send junk tokens without end do not keep out a valid token of the same address', async () => {
  const { port } = await startTestAdmin({ auth: SIGNED })
  let [sent, answered] = [0, 0]
  const attack = () => {
    const token = junk(sent++)
    return `GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`
  }
  const attackers = await Promise.all(times(150, () => connectRaw(port)))
  for (const { destroy } of attackers) onTestFinished(destroy)
  for (const { socket, send } of attackers) {
    socket.on('data', (chunk) => {
      if (!chunk.includes('HTTP/1.1 4')) return
      answered++
      send(attack())
    })
    send(attack())
  }
  await until(() => answered > 200)
  for (let i = 0; i < 5; i++) {
    const begun = performance.now()
    const headers = { Authorization: `Bearer ${tokenOf(`ann-${i}`, 'operator')}`, Connection: 'close' }
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/status`, { headers })
    await answer.text()
    expect(answer.status).toBe(200)
    expect(performance.now() - begun).toBeLessThan(3_000)
  }
  expect(attackers.filter((attacker) => !attacker.isClosed()).length).toBeGreaterThan(80)
}, 30_000)

describe('the signature of a rejected token', () => {
  test('is checked again after five seconds at the earliest', async () => {
    const { codeOf, seen, clock } = signing()
    for (let i = 0; i < 1000; i++) await codeOf('wrong')
    expect(seen).toHaveLength(1)
    clock.advance(5_000)
    await codeOf('wrong')
    expect(seen).toHaveLength(2)
  })
})

const PAIR = rsaPair()
const KEY: JwtPolicy['key'] = { kind: 'public-key', pem: pemOf(PAIR) }
const JWT: JwtPolicy = { issuer: ISSUER, audience: AUDIENCE, algorithms: ['RS256'], key: KEY, roleClaim: 'role' }
const SIGNED = { stateDir: '/nowhere', token: TOKEN, jwt: JWT, findKey: () => 'unknown' as const }

function tokenOf(sub: string, role: Role | undefined): string {
  const iat = NOON / 1000
  return signed('RS256', PAIR.privateKey, { payload: goodClaims({ sub, role, iat, exp: iat + 60 }) })
}

/** A token as the issuer makes them, apart from the signature. */
function junk(i: number): string {
  const iat = NOON / 1000
  const claims = goodClaims({ sub: `junk-${i}`, role: 'admin', iat, exp: iat + 60 })
  return `${base64url({ alg: 'RS256', typ: 'JWT' })}.${base64url(claims)}.${'A'.repeat(342)}`
}

describe('a role', () => {
  const BODIES: Readonly<Record<string, object>> = {
    '/contexts/:id/flag': { percentage: 5 },
    '/contexts/:id/pin': { side: 'legacy', for: '1h' },
    '/contexts/:id/shadow': { percentage: 5 },
    '/contexts/:id/try-rule': { rules: {} },
    '/differences/:fingerprint/ruling': { verdict: 'noise' },
  }

  const cases = API_ROUTES.flatMap((route) =>
    [undefined, ...ROLES].map((role) => ({ ...route, asks: route.role, role })),
  )

  test.each(cases)('$role may call $method $path only if it includes $asks', async ({ method, path, asks, role }) => {
    const admin = await createTestAdmin({ auth: SIGNED })
    const { status, body } = await knock(admin, method, path, tokenOf('ann', role))
    const mayAct = role !== undefined && ROLES.indexOf(role) >= ROLES.indexOf(asks)
    expect(status).toBe(mayAct ? 200 : 403)
    if (mayAct) return
    if (path !== '/events') expect(body.code).toBe('forbidden')
    expect(admin.control.changeRequests).toEqual([])
    expect(admin.control.refusedCallers).toMatchObject([
      { by: role === undefined ? 'unknown' : 'ann', role: role ?? null },
    ])
  })

  test.each(API_ROUTES)('is required for $method $path', async ({ method, path }) => {
    const admin = await createTestAdmin({ auth: SIGNED })
    expect((await knock(admin, method, path, null)).status).toBe(401)
    expect((await knock(admin, method, path, 'wrong')).status).toBe(401)
    expect(admin.control.changeRequests).toEqual([])
  })

  test('of operator is required for every change, and viewer for every read', () => {
    for (const route of API_ROUTES) expect(route.role, route.path).toBe(isChange(route) ? 'operator' : 'viewer')
  })

  test.each<[Role, number]>([
    ['operator', 403],
    ['admin', 200],
  ])('%s that forces a rollback is answered %d', async (role, status) => {
    const { ask, control } = await createTestAdmin({ auth: SIGNED })
    await ask('post', '/contexts/orders/rollback', tokenOf('ann', role)).send({ force: true }).expect(status)
    expect(control.changeRequests).toHaveLength(status === 200 ? 1 : 0)
  })

  test.each<[Role, number]>([
    ['viewer', 403],
    ['operator', 403],
    ['admin', 200],
  ])('%s that downloads the audit log is answered %d', async (role, status) => {
    const { ask } = await createTestAdmin({ auth: SIGNED })
    await ask('get', '/audit?format=jsonl', tokenOf('ann', role)).expect(status)
    await ask('get', '/audit', tokenOf('ann', role)).set('Accept', 'application/jsonl').expect(status)
    await ask('get', '/audit', tokenOf('ann', role)).expect(200)
  })

  test('acts under the sub of its token in the audit log', async () => {
    const { ask, control } = await createTestAdmin({ auth: SIGNED })
    await ask('put', '/contexts/catalog/flag', tokenOf('bob', 'operator')).send({ percentage: 5 }).expect(200)
    expect(control.changeRequests).toMatchObject([{ order: { by: 'bob', address: '127.0.0.1' } }])
  })

  function knock(
    { ask }: TestAdmin,
    method: (typeof API_ROUTES)[number]['method'],
    path: string,
    token: string | null,
  ) {
    const query = path === '/explain' ? '?target=/x' : ''
    // An event stream does not end; HEAD has the same status.
    const filled = path.replace(':id', 'catalog').replace(':fingerprint', fingerprintOf('catalog', ROUTE, PRICE))
    const asking = ask(path === '/events' ? 'head' : method, `${filled}${query}`, token)
    return method === 'put' || method === 'post' ? asking.send(BODIES[path] ?? {}) : asking
  }
})

describe('the audit log', () => {
  test('records each refused caller with name, address, action and reason', async () => {
    const { app, ask, clock, control } = await createTestAdmin({ auth: SIGNED })
    const tries: [string, () => PromiseLike<unknown>][] = [
      ['no token', () => ask('get', '/status', null)],
      ['not valid', () => ask('get', '/status', 'wrong')],
      [
        'two Authorization fields',
        () => ask('get', '/status', null).set('Authorization', ['Bearer a', 'Bearer b'] as never),
      ],
      ['role operator', () => ask('put', '/kill-switch', tokenOf('ann', 'viewer'))],
      ['has no role', () => ask('get', '/status', tokenOf('bob', undefined))],
      ['Origin is', () => ask('put', '/kill-switch').set('Origin', 'https://evil.example')],
      ['Sec-Fetch-Site is', () => ask('put', '/kill-switch').set('Sec-Fetch-Site', 'cross-site')],
      ['a name in --admin-names', () => ask('get', '/status').set('Host', 'evil.example')],
      ['a name in --admin-names', () => request(app).get('/metrics').set('Host', 'evil.example')],
    ]
    for (const [why, attempt] of tries) {
      clock.advance(1_000)
      await attempt()
      expect(control.refusedCallers.at(-1)).toMatchObject({ address: '127.0.0.1', why: expect.stringContaining(why) })
    }
    expect(control.refusedCallers).toHaveLength(tries.length)
    expect(control.refusedCallers.map(({ what }) => what)).toContain('PUT /api/v1/kill-switch')
    expect(control.refusedCallers.at(-1)?.what).toBe('GET /metrics')
  })

  test('records a flood of refused callers as one entry a second with their number', async () => {
    const { ask, control, clock } = await createTestAdmin()
    for (let i = 0; i < 30; i++) await ask('get', '/status', `wrong-${i}`)
    expect(control.refusedCallers).toHaveLength(1)
    clock.advance(1_000)
    await ask('get', '/status', 'wrong')
    expect(control.refusedCallers).toHaveLength(2)
    expect(control.refusedCallers[1]?.why).toContain('and 29 more attempts')
  })

  test('contains no token, and neither do the application log and the responses', async () => {
    const { ask, control, events, clock } = await createTestAdmin({ auth: SIGNED })
    const tokens = ['a-wrong-token-of-some-length', TOKEN, tokenOf('ann', 'viewer'), tokenOf('bob', undefined)]
    tokens.push(`${tokens[2]}x`, tokens[2]?.replace(/\.[^.]+$/, '.') ?? '')
    let output = ''
    for (const token of tokens) {
      for (const path of ['/status', '/contexts/nothing', '/audit?format=jsonl', '/openapi.json']) {
        clock.advance(1_000)
        const { text, headers } = await ask('get', path, token)
        output += `${text}${JSON.stringify(headers)}`
      }
      const { text } = await ask('put', '/contexts/catalog/flag', token).send({ percentage: 5, reason: 'why' })
      output += text
    }
    output += JSON.stringify([control.refusedCallers, control.changeRequests, events])
    for (const token of tokens) expect(output.includes(token), token).toBe(false)
  })
})
