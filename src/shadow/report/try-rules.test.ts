import { describe, expect, test } from 'vitest'
import type { Field } from '../../model/comparison.ts'
import type { Example, MaskedAnswer } from '../../model/comparison-example.ts'
import type { Rules } from '../../model/comparison-rules.ts'
import { readRules } from '../compare/rules.ts'
import { exampleOf, masked, PRICE, ROUTE, storedExampleOf } from './comparison-reports.test-kit.ts'
import { tryRules } from './try-rules.ts'

function tried(rules: Rules, field: Field, example: Partial<Example> = {}) {
  const read = readRules(rules)
  if (!read.ok) throw new Error(JSON.stringify(read.mistakes))
  const { differences, appearing } = tryRules(read.rules, [storedExampleOf(field, example)])
  const [{ forgiven, remaining, untried } = { forgiven: 0, remaining: 0, untried: 0 }] = differences
  return { is: forgiven ? 'forgiven' : remaining ? 'remaining' : untried ? 'untried' : 'lost', appearing }
}

function sides(legacy: Partial<MaskedAnswer>, service: Partial<MaskedAnswer>): Partial<Example> {
  const base = exampleOf()
  return { legacy: { ...base.legacy, ...legacy }, service: { ...base.service, ...service } }
}

const bodies = (legacy: string | null, service: string | null) =>
  sides({ body: legacy === null ? null : masked(legacy) }, { body: service === null ? null : masked(service) })
const headers = (name: string, legacy: string, service: string) =>
  sides({ headers: [name, legacy].map(masked) }, { headers: [name, service].map(masked) })

describe('a stored example under new rules', () => {
  test.each<[string, Rules, Field, Partial<Example>, string]>([
    ['a value that is ignored', { ignore: ['$.items'] }, PRICE, {}, 'forgiven'],
    ['a value within the tolerance', { tolerance: [{ path: '$..price', relative: 0.01 }] }, PRICE, {}, 'forgiven'],
    ['a value outside the tolerance', { tolerance: [{ path: '$..price', relative: 0.0001 }] }, PRICE, {}, 'remaining'],
    ['no rules', {}, PRICE, {}, 'remaining'],
    ['a rule for another path', { ignore: ['$.other'] }, PRICE, {}, 'remaining'],
    ['a header field', { ignore: ['header.x-a'] }, 'value header.x-a', headers('X-A', '1', '2'), 'forgiven'],
    [
      'an equivalent status',
      { equivalentStatuses: [[200, 204]] },
      'status status',
      sides({}, { status: 204 }),
      'forgiven',
    ],
    ['another status', {}, 'status status', sides({}, { status: 204 }), 'remaining'],
  ])('is decided for %s', (_case, rules, field, example, is) => {
    expect(tried(rules, field, example).is).toBe(is)
  })

  test('is undecided if both sides are masked alike', () => {
    const secret = bodies('{"token":"<secret>"}', '{"token":"<secret>"}')
    expect(tried({ ignore: ['$.token'] }, 'value $.token', secret).is).toBe('untried')
    const cookie = headers('Set-Cookie', '<secret>', '<secret>')
    expect(tried({ ignore: ['cookie.sid'] }, 'value cookie.sid.path', cookie).is).toBe('untried')
  })

  test('is undecided for the body if a body was not kept, and decided for the header fields', () => {
    for (const example of [bodies(null, '{"a":1}'), bodies('{"a":1}', null), bodies(null, null)]) {
      expect(tried({ ignore: ['$'] }, 'value $.a', example)).toEqual({ is: 'untried', appearing: [] })
      expect(tried({}, 'value $.a', example)).toEqual({ is: 'untried', appearing: [] })
      const head = { ...example, service: { ...exampleOf().service, ...example.service, status: 500 } }
      expect(tried({}, 'status status', head).is).toBe('remaining')
      expect(tried({ equivalentStatuses: [[200, 500]] }, 'status status', head).is).toBe('forgiven')
    }
  })

  test('is compared by its stored body, which is not compressed', () => {
    const gzip = (body: string) => ({
      body: masked(body),
      headers: ['Content-Type', 'application/json', 'Content-Encoding', 'gzip'].map(masked),
    })
    const example = sides(gzip('{"a":1}'), gzip('{"a":2}'))
    expect(tried({ ignore: ['$.a'] }, 'value $.a', example).is).toBe('forgiven')
  })

  test('shows which new differences the rules would cause', () => {
    const example = bodies('{"tags":["a","b"]}', '{"tags":["b","c"]}')
    const { is, appearing } = tried({ treatAsSet: ['$.tags'] }, 'missing $.tags[*]', example)
    expect(is).toBe('forgiven')
    expect(appearing).toEqual([{ route: ROUTE, kind: 'value', path: '$.tags[*]', examples: 1 }])
  })
})

test('a trial counts examples by difference, and a request with several examples once', () => {
  const read = readRules({ treatAsSet: ['$.tags'], ignore: ['$.items'] })
  const example = bodies('{"items":[{"price":1}],"tags":["a","b"]}', '{"items":[{"price":2}],"tags":["b","c"]}')
  const both = [
    { kind: 'value', path: '$.items[*].price', legacy: null, service: null, times: 1 },
    { kind: 'missing', path: '$.tags[*]', legacy: null, service: null, times: 2 },
  ] as const
  const stored = [storedExampleOf(PRICE), storedExampleOf('missing $.tags[*]')].map((storedExample) => ({
    ...storedExample,
    example: { ...storedExample.example, ...example, differences: both },
  }))
  const { examples, differences, appearing } = tryRules(read.ok ? read.rules : expect.unreachable(), stored)
  expect(examples).toBe(2)
  expect(differences.map(({ path, forgiven }) => `${path} ${forgiven}`)).toEqual(['$.items[*].price 1', '$.tags[*] 1'])
  expect(appearing.map((field) => field.examples)).toEqual([1])
})
