import { describe, expect, test } from 'vitest'
import type { HeadersConfig, RoutesConfig } from '../define-routes.ts'
import { compile } from '../load/compile.ts'
import { formatMistakes } from '../mistake.ts'
import { validate } from './validate.ts'

const LEGACY = { url: 'http://127.0.0.1:3000' }
const JWT = {
  issuer: 'https://login.test/',
  audience: 'shop',
  algorithms: ['RS256'],
  jwksUri: 'https://login.test/keys',
}

function withHeaders(context: unknown, route: unknown = undefined, more: object = {}) {
  return {
    legacy: LEGACY,
    services: { a: { url: 'http://127.0.0.1:3001' } },
    contexts: {
      a: {
        owner: 'a',
        service: 'a',
        flag: 'f',
        headers: context,
        routes: ['/short', { path: '/full', headers: route }],
      },
    },
    ...more,
  }
}

function mistakesIn(written: unknown): string[] {
  const validated = validate(written)
  return validated.ok ? [] : formatMistakes(validated.mistakes).split('\n')
}

function rulesOf(written: unknown, path: string) {
  const validated = validate(written)
  if (!validated.ok) throw new Error(formatMistakes(validated.mistakes))
  return compile(validated.config).match('GET', 'a', path).route.headers
}

describe('header rules', () => {
  const context: HeadersConfig = {
    request: { set: { 'X-A': '1', 'X-B': '2' }, remove: ['X-C'] },
    response: { remove: ['Server'] },
  }

  test('a route without rules has those of its context', () => {
    expect(rulesOf(withHeaders(context), '/short')).toEqual({
      request: { names: new Set(['x-a', 'x-b', 'x-c']), set: ['X-A', '1', 'X-B', '2'] },
      response: { names: new Set(['server']), set: [] },
    })
  })

  test('a rule of a route replaces the rule of its context for the same field', () => {
    const own = { request: { set: { 'x-c': '3' }, remove: ['x-a'] } }
    expect(rulesOf(withHeaders(context, own), '/full')).toEqual({
      request: { names: new Set(['x-a', 'x-b', 'x-c']), set: ['X-B', '2', 'x-c', '3'] },
      response: { names: new Set(['server']), set: [] },
    })
  })

  test('legacy has rules for the paths that no context owns', () => {
    const written: RoutesConfig = { legacy: { ...LEGACY, headers: { response: { set: { 'X-A': '' } } } } }
    expect(rulesOf(written, '/')).toEqual({
      request: undefined,
      response: { names: new Set(['x-a']), set: ['X-A', ''] },
    })
  })

  test.each([undefined, {}, { request: {} }, { response: { set: {}, remove: [] } }])(
    '%j changes nothing',
    (headers) => {
      expect(rulesOf(withHeaders(headers), '/short')).toBeUndefined()
    },
  )

  test.each(['X_A', 'Host', 'connection', 'Content-Length', 'X-Forwarded-For', 'x-request-id', 'Via', 'CDN-Loop'])(
    'a request rule for %s is a mistake',
    (name) => {
      for (const rules of [{ remove: [name] }, { set: { [name]: 'a' } }]) {
        const [mistake] = mistakesIn(withHeaders({ request: rules }))
        expect(mistake).toContain('belongs to the gateway or to one connection')
      }
    },
  )

  test.each(['Transfer-Encoding', 'connection', 'Content-Length', 'X-Request-Id', 'Sec-WebSocket-Accept', 'Upgrade'])(
    'a response rule for %s is a mistake',
    (name) => {
      const [mistake] = mistakesIn(withHeaders({ response: { remove: [name] } }))
      expect(mistake).toContain('belongs to the gateway or to one connection')
    },
  )

  test.each(['a\r\nX-Evil: 1', 'a\0', 'ä', ' a', 'a ', '\t', 7, null])('the value %j is a mistake', (value) => {
    const [mistake] = mistakesIn(withHeaders({ response: { set: { 'X-A': value } } }))
    expect(mistake).toMatch(/^contexts\.a\.headers\.response\.set\.X-A: must be a text of printable ASCII characters/)
  })

  test('a mistake in a value does not show the value, which may be a secret', () => {
    const [mistake] = mistakesIn(withHeaders({ request: { set: { Authorization: 'Bearer hunter2\n' } } }))
    expect(mistake).toContain('(found not shown)')
    expect(mistake).not.toContain('hunter2')
  })

  test.each<[unknown, string]>([
    [3, 'contexts.a.headers: must be an object'],
    [{ requests: {} }, 'contexts.a.headers.requests: unknown key; did you mean "request"?'],
    [{ request: { add: {} } }, 'contexts.a.headers.request.add: unknown key'],
    [{ request: { set: ['X-A'] } }, 'contexts.a.headers.request.set: must be an object: the value of each header'],
    [{ request: { remove: 'X-A' } }, 'contexts.a.headers.request.remove: must be a list of header names'],
    [{ request: { remove: ['X A'] } }, 'contexts.a.headers.request.remove[0]: must be a header name such as'],
    [
      { request: { set: { 'X-A': '1' }, remove: ['x-a'] } },
      'contexts.a.headers.request.remove[0]: already has a rule at contexts.a.headers.request.set.X-A; keep one of them',
    ],
  ])('%j is a mistake', (headers, message) => {
    expect(mistakesIn(withHeaders(headers))[0]).toContain(message)
  })

  test('no request rule sets or removes a header that identifies the user', () => {
    const headers = { request: { set: { 'X-Account': '1' }, remove: ['x-mail'] } }
    const identity = { user: { header: 'X-Account', trust: ['10.0.0.2'] } }
    const written = withHeaders(headers, undefined, { identity, trustedProxies: ['10.0.0.2'] })
    const contexts = { a: { ...written.contexts.a, auth: { jwt: JWT, claims: { email: 'X-Mail' } } } }
    expect(mistakesIn({ ...written, contexts })).toEqual([
      expect.stringMatching(/^contexts\.a\.headers\.request\.set\.X-Account: identifies the user to services/),
      expect.stringMatching(/^contexts\.a\.headers\.request\.remove\[0\]: identifies the user to services/),
    ])
    const unowned = { legacy: { ...LEGACY, headers }, identity, trustedProxies: ['10.0.0.2'] }
    expect(mistakesIn(unowned)).toEqual([
      expect.stringMatching(/^legacy\.headers\.request\.set\.X-Account: identifies/),
    ])
  })

  test('middleware of legacy is checked, and a service has none', () => {
    const notFunctions = mistakesIn({ legacy: { ...LEGACY, middleware: [3] } })
    expect(notFunctions).toEqual([expect.stringContaining('legacy.middleware: must be an Express middleware')])
    const written = { legacy: LEGACY, services: { a: { url: 'http://127.0.0.1:1', middleware: () => {} } } }
    expect(mistakesIn(written)).toEqual([expect.stringContaining('services.a.middleware: unknown key')])
  })

  test('a service has no header rules of its own', () => {
    const written = { legacy: LEGACY, services: { a: { url: 'http://127.0.0.1:1', headers: {} } } }
    expect(mistakesIn(written)).toEqual([expect.stringContaining('services.a.headers: unknown key')])
  })
})
