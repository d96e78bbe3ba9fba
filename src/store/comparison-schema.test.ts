import { describe, expect, it } from 'vitest'
import { parseExample, parseRouteCounts, serializeExample, serializeRouteCounts } from './comparison-schema.ts'
import { mask, routeCounts, STRANGE, storedExample } from './comparisons.test-kit.ts'
import { InvalidStoredValue } from './state-schema.ts'

describe('the counts of a route', () => {
  it('are read as they were written, in records without a prototype', () => {
    const { counts, ...rest } = parseRouteCounts(serializeRouteCounts(routeCounts()))
    expect({ ...rest, counts }).toEqual(routeCounts())
    expect(Object.entries(counts.differing)).toEqual(Object.entries(STRANGE.differing))
    expect(Object.entries(counts.fields)).toEqual(Object.entries(STRANGE.fields))
    for (const record of [counts.differing, counts.fields, counts.uncomparable, counts.shed, counts.failed])
      expect(Object.getPrototypeOf(record)).toBeNull()
  })

  it('are read without the keys that only a newer gateway has', () => {
    const words = { bomb: 1, sunspots: 2, __proto: 3 }
    const fields = { 'value $.a': { sides: 1, self: 0, firstSeen: 1, lastSeen: 1 }, 'colour $.a': 'of another shape' }
    const given = { ...STRANGE, uncomparable: words, shed: words, failed: words, fields, later: 1 }
    const { counts } = parseRouteCounts(JSON.stringify({ ...routeCounts(), counts: given }))
    expect(counts).toEqual({
      ...STRANGE,
      uncomparable: { bomb: 1 },
      shed: {},
      failed: {},
      fields: { 'value $.a': fields['value $.a'] },
    })
  })

  const seen = { sides: 1, self: 0, firstSeen: 1, lastSeen: 1 }
  it.each<[string, object, object?]>([
    ['context', { context: 'toString' }],
    ['context', { context: 7 }],
    ['route', { route: null }],
    ['start', { start: -1 }],
    ['start', { start: 1.5 }],
    ['counts', { counts: null }],
    ['counts.matched', {}, { matched: '7' }],
    ['counts.matched', {}, { matched: -7 }],
    ['counts.ignored', {}, { ignored: 0.5 }],
    ['counts.differing', {}, { differing: null }],
    ['counts.differing', {}, { differing: [] }],
    ['counts.differing', {}, { differing: { a: -1 } }],
    ['counts.uncomparable', {}, { uncomparable: { bomb: '1' } }],
    ['counts.shed', {}, { shed: { lag: null } }],
    ['counts.failed', {}, { failed: { primary: {} } }],
    ['counts.pairs', {}, { pairs: undefined }],
    ['counts.fields', {}, { fields: 'many' }],
    ['counts.fields', {}, { fields: { 'value $.a': { ...seen, sides: -1 } } }],
    ['counts.fields', {}, { fields: { 'value $.a': { ...seen, self: '0' } } }],
    ['counts.fields', {}, { fields: { 'value $.a': { ...seen, firstSeen: 0.5 } } }],
    ['counts.fields', {}, { fields: { 'value $.a': { ...seen, lastSeen: null } } }],
    ['counts.fieldsLeftOut', {}, { fieldsLeftOut: Number.MAX_VALUE }],
  ])('are rejected with an invalid %s: %j %j', (where, of, counts = {}) => {
    const text = JSON.stringify({ ...routeCounts(), counts: { ...STRANGE, ...counts }, ...of })
    expect(() => parseRouteCounts(text)).toThrow(`not the counts of a route: ${where}`)
  })

  it.each(['', '[]', '7', '{"context":'])('are rejected if the text is %j', (text) => {
    expect(() => parseRouteCounts(text)).toThrow(InvalidStoredValue)
  })
})

describe('a stored example', () => {
  it('is read as it was written', () => {
    expect(parseExample(serializeExample(storedExample({}, 1)))).toEqual(storedExample({}, 1))
  })

  const { example } = storedExample({}, 1)
  const { request, legacy, differences } = example
  it.each<[string, object]>([
    ['fingerprint', { fingerprint: '' }],
    ['context', { context: 'constructor' }],
    ['route', { route: 7 }],
    ['field', { field: '$.a' }],
    ['field', { field: 'colour $.a' }],
    ['example', { example: null }],
    ['example.at', { example: { ...example, at: -1 } }],
    ['example.at', { example: { ...example, at: 1.5 } }],
    ['example.request.method', { example: { ...example, request: { ...request, method: null } } }],
    ['example.request.target', { example: { ...example, request: { ...request, target: 7 } } }],
    ['example.request.headers', { example: { ...example, request: { ...request, headers: [mask('accept')] } } }],
    ['example.answeredBy', { example: { ...example, answeredBy: 'both' } }],
    ['example.legacy.status', { example: { ...example, legacy: { ...legacy, status: '200' } } }],
    ['example.legacy.headers', { example: { ...example, legacy: { ...legacy, headers: {} } } }],
    ['example.service.body', { example: { ...example, service: { ...legacy, body: {} } } }],
    ['example.service.ms', { example: { ...example, service: { ...legacy, ms: -1 } } }],
    ['example.differences', { example: { ...example, differences: {} } }],
    ['example.differences.0.kind', { example: { ...example, differences: [{ ...differences[0], kind: 'colour' }] } }],
    ['example.differences.0.path', { example: { ...example, differences: [{ ...differences[0], path: null }] } }],
    ['example.differences.0.legacy', { example: { ...example, differences: [{ ...differences[0], legacy: 7 }] } }],
    ['example.differences.0.service', { example: { ...example, differences: [{ ...differences[0], service: 7 }] } }],
    ['example.differences.0.times', { example: { ...example, differences: [{ ...differences[0], times: -1 }] } }],
  ])('is rejected with an invalid %s', (where, of) => {
    const text = JSON.stringify({ ...storedExample({}, 1), ...of })
    expect(() => parseExample(text)).toThrow(`not an example: ${where}:`)
  })

  it('is rejected if it contains a key __proto__', () => {
    const text = JSON.stringify(storedExample({}, 1)).replace('{', '{"__proto__":{},')
    expect(() => parseExample(text)).toThrow('a key is __proto__')
  })
})
