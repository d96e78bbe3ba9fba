import { describe, expect, it } from 'vitest'
import type { AuditEntry } from '../model/audit-log.ts'
import { EMPTY_CONTEXT, EMPTY_STATE } from '../model/shared-state.ts'
import {
  InvalidStoredValue,
  parseEntry,
  parseHeartbeat,
  parseState,
  serializeEntry,
  serializeState,
} from './state-schema.ts'

const STAMP = { by: 'ada', reason: null, at: 1 }
const ENTRY: AuditEntry = {
  at: 1,
  actor: 'ada',
  address: null,
  verb: 'flip',
  context: 'catalog',
  before: undefined,
  after: { percentage: 25 },
  reason: null,
  until: null,
  result: 'done',
  detail: null,
  generation: 1,
  gateway: 'gateway-1',
}

describe('a stored state', () => {
  it('is read as it was written', () => {
    const state = {
      generation: 4,
      kill: STAMP,
      contexts: { catalog: { ...EMPTY_CONTEXT, pin: { ...STAMP, side: 'legacy' as const, until: 5 } } },
      flags: { version: 2, features: [{ name: 'a', strategies: [] }] },
    }
    expect(parseState(serializeState(state))).toEqual(state)
  })

  it.each([
    ['an empty text', ''],
    ['text that is not JSON', '{"generation":1'],
    ['an array', '[]'],
    ['an object without a generation', '{"kill":null,"contexts":{},"flags":null}'],
    ['an object with a negative generation', '{"generation":-1,"kill":null,"contexts":{},"flags":null}'],
    ['an object with half a generation', '{"generation":1.5,"kill":null,"contexts":{},"flags":null}'],
    [
      'an unknown side',
      JSON.stringify({
        ...EMPTY_STATE,
        contexts: { a: { ...EMPTY_CONTEXT, pin: { ...STAMP, side: 'both', until: null } } },
      }),
    ],
    [
      'an unknown verb',
      JSON.stringify({
        ...EMPTY_STATE,
        contexts: { a: { ...EMPTY_CONTEXT, changed: { ...STAMP, verb: 'break', generation: 1 } } },
      }),
    ],
    [
      'an object with a context named __proto__',
      `{"generation":1,"kill":null,"flags":null,"contexts":{"__proto__":${JSON.stringify(EMPTY_CONTEXT)}}}`,
    ],
    [
      'an object with a context named constructor',
      `{"generation":1,"kill":null,"flags":null,"contexts":{"constructor":${JSON.stringify(EMPTY_CONTEXT)}}}`,
    ],
    [
      'an object with a key __proto__ inside of a flag',
      '{"generation":1,"kill":null,"contexts":{},"flags":{"version":1,"features":[{"name":"a","x":[{"__proto__":{"on":true}}]}]}}',
    ],
    [
      'an object with an escaped key __proto__',
      '{"generation":1,"kill":null,"contexts":{},"flags":null,"\\u005f_proto__":1}',
    ],
  ])('is rejected if it is %s', (_what, text) => {
    expect(() => parseState(text)).toThrow(InvalidStoredValue)
  })

  it('keeps the fields that only a newer gateway has', () => {
    const text =
      '{"generation":1,"kill":null,"contexts":{"a":{"pin":null,"freeze":null,"flip":null,"changed":null,"new":1}},"flags":null,"new":[2]}'
    expect(JSON.parse(serializeState(parseState(text)))).toEqual(JSON.parse(text))
  })
})

describe('a stored context', () => {
  const NOTE = { ...STAMP, route: 'GET /', field: 'value $.a', ruling: 'noise', resolvedAt: null }

  it.each([
    ['no field of shadow traffic, as an older gateway wrote it', {}],
    ['no percentage of its own', { shadow: null }],
    ['a percentage of zero', { shadow: { ...STAMP, percentage: 0 } }],
    ['a percentage of 100', { shadow: { ...STAMP, percentage: 100 } }],
    ['no differences', { differences: {} }],
    ['differences', { differences: { f1: NOTE, f2: { ...NOTE, ruling: null, resolvedAt: 5, later: 'word' } } }],
  ])('is read with %s', (_what, parts) => {
    const text = ofContext(parts)
    expect(JSON.parse(serializeState(parseState(text)))).toEqual(JSON.parse(text))
  })

  it.each([
    ['half a percent', { shadow: { ...STAMP, percentage: 0.5 } }, 'shadow.percentage'],
    ['a negative percentage', { shadow: { ...STAMP, percentage: -1 } }, 'shadow.percentage'],
    ['a percentage above 100', { shadow: { ...STAMP, percentage: 101 } }, 'shadow.percentage'],
    ['a percentage without an author', { shadow: { percentage: 1 } }, 'shadow.by'],
    ['differences that are null', { differences: null }, 'differences'],
    ['an unknown kind of field', { differences: { f1: { ...NOTE, field: 'colour $.a' } } }, 'differences.f1.field'],
    ['no route', { differences: { f1: { ...NOTE, route: undefined } } }, 'differences.f1.route'],
    ['an unknown ruling', { differences: { f1: { ...NOTE, ruling: 'maybe' } } }, 'differences.f1.ruling'],
    ['half a millisecond', { differences: { f1: { ...NOTE, resolvedAt: 0.5 } } }, 'differences.f1.resolvedAt'],
    ['a difference named toString', { differences: { toString: NOTE } }, 'differences.toString'],
  ])('is rejected with %s', (_what, parts, where) => {
    expect(() => parseState(ofContext(parts))).toThrow(`not a state: contexts.catalog.${where}`)
  })

  function ofContext(parts: object): string {
    return JSON.stringify({ ...EMPTY_STATE, contexts: { catalog: { ...EMPTY_CONTEXT, ...parts } } })
  }
})

it('an audit entry is stored with its values before and after, and with null for an undefined one', () => {
  expect(parseEntry(serializeEntry(ENTRY))).toEqual({ ...ENTRY, before: null })
  expect(() => parseEntry('{"at":1}')).toThrow(InvalidStoredValue)
})

it('a heartbeat with an invalid context name is rejected', () => {
  const lastMinute = '{"toString":{"legacy":1,"service":0}}'
  const text = `{"id":"a","version":"1","address":"x","startedAt":1,"applied":0,"localKill":[],"percentages":{},"flags":{"source":"x","stale":false,"ageMs":null},"lastMinute":${lastMinute},"inFlight":{}}`
  expect(() => parseHeartbeat(text)).toThrow('not the report of a gateway')
  expect(parseHeartbeat(text.replace('toString', 'catalog')).lastMinute).toEqual({ catalog: { legacy: 1, service: 0 } })
})

it('a state with a fraction of a millisecond is rejected, since the admin API accepts only whole ones', () => {
  const kill = (time: number) => ({
    generation: 1,
    kill: { by: 'ann', reason: null, at: time },
    contexts: {},
    flags: null,
  })
  expect(() => serializeState(kill(1.5))).toThrow('not a state: kill.at')
  expect(parseState(serializeState(kill(2))).kill?.at).toBe(2)
})
