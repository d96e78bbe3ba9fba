import { describe, expect, test } from 'vitest'
import type { FlagAnswer, FlagContext, Identity } from '../../model/decision.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { Context, FallbackPolicy, Side } from '../../model/route.ts'
import { decide, flagContext } from './decide.ts'

const HEAD = { method: 'GET', host: 'shop.example', path: '/products' } as RequestHead
const IDENTITY: Identity = {
  kind: 'session',
  key: 's-1',
  clientAddress: '192.0.2.1',
  secure: true,
  requestId: 'id',
  isNew: false,
}
const CONTEXT = { name: 'catalog', flag: 'migrate-catalog', fallback: 'reads', service: {} } as unknown as Context

type Case = {
  answer?: FlagAnswer
  isFullyOn?: boolean
  available?: boolean
  fallback?: FallbackPolicy
  method?: string
  owned?: boolean
  isKilled?: boolean
  pin?: Side
  whenStale?: 'hold' | 'legacy'
  isOld?: boolean
  kind?: Identity['kind']
}

function decided({
  answer = 'on',
  isFullyOn = false,
  available = true,
  fallback = 'reads',
  method = 'GET',
  owned = true,
  isKilled = false,
  pin,
  whenStale = 'hold',
  isOld = false,
  kind = 'session',
}: Case) {
  const context = owned ? { ...CONTEXT, fallback, whenStale } : undefined
  const controls = { isKilled, pins: new Map(pin === undefined ? [] : [[CONTEXT.name, pin]]), shadows: new Map() }
  const flags = { evaluate: () => answer, isFullyOn: () => isFullyOn, isOlderThan: () => isOld }
  const upstreams = { isAvailable: () => available }
  const facts = { head: { ...HEAD, method }, match: { route: { context } } }
  return decide(facts, { ...IDENTITY, kind }, { controls }, { flags, upstreams })
}

describe('the policy', () => {
  test.each<[string, Case, string, string, boolean]>([
    ['what no context owns is the monolith’s, whatever flags say', { owned: false }, 'legacy', 'unowned', false],
    ['a client that nothing identifies stays', { kind: 'none' }, 'legacy', 'no-identity', false],
    ['unless the flag is on for everybody', { kind: 'none', isFullyOn: true }, 'service', 'flag-on', true],
    ['without flags everything stays', { answer: 'stale' }, 'legacy', 'flags-stale', false],
    ['an unknown flag stays', { answer: 'missing' }, 'legacy', 'flag-missing', false],
    ['a flag that is off stays', { answer: 'off' }, 'legacy', 'flag-off', false],
    ['a flag that is on goes', { answer: 'on' }, 'service', 'flag-on', true],
    ['a service that is down is not asked', { available: false }, 'legacy', 'service-unavailable', false],
    ['unless legacy may not answer for it', { available: false, fallback: false }, 'service', 'flag-on', false],
    ['a write goes to a service that is down', { available: false, method: 'POST' }, 'service', 'flag-on', false],
    ['a write never falls back by default', { method: 'DELETE' }, 'service', 'flag-on', false],
    ['OPTIONS is a read', { available: false, method: 'OPTIONS' }, 'legacy', 'service-unavailable', false],
    ['HEAD is a read', { available: false, method: 'HEAD' }, 'legacy', 'service-unavailable', false],
    ['a write may fall back with fallback "all"', { fallback: 'all', method: 'POST' }, 'service', 'flag-on', true],
    [
      'and then goes to legacy while the service is down',
      { fallback: 'all', method: 'POST', available: false },
      'legacy',
      'service-unavailable',
      false,
    ],
    [
      'a pinned write goes to a service that is down',
      { pin: 'service', method: 'PUT', available: false },
      'service',
      'pinned',
      false,
    ],
    ['the kill switch sends all to legacy', { isKilled: true, pin: 'service' }, 'legacy', 'killed', false],
    ['and says nothing of what no context owns', { isKilled: true, owned: false }, 'legacy', 'unowned', false],
    ['a pin to legacy beats the flag', { pin: 'legacy' }, 'legacy', 'pinned', false],
    ['a pin to the service beats the flag', { pin: 'service', answer: 'off' }, 'service', 'pinned', true],
    ['and takes those whom nothing identifies', { pin: 'service', kind: 'none' }, 'service', 'pinned', true],
    ['but asks no service that is down', { pin: 'service', available: false }, 'legacy', 'service-unavailable', false],
    ['old flags hold', { isOld: true }, 'service', 'flag-on', true],
    ['unless the context asks for legacy', { isOld: true, whenStale: 'legacy' }, 'legacy', 'flags-stale', false],
    ['a pin does not grow old', { isOld: true, whenStale: 'legacy', pin: 'service' }, 'service', 'pinned', true],
    [
      'a down service does not matter to a flag that is off',
      { answer: 'off', available: false },
      'legacy',
      'flag-off',
      false,
    ],
  ])('%s', (_, given, side, reason, fallback) => {
    expect(decided(given)).toEqual({ side, reason, fallback })
  })
})

describe('the flag is asked what a service behind us would ask', () => {
  test.each<[Identity['kind'], Partial<FlagContext>]>([
    ['user', { userId: 's-1' }],
    ['session', { sessionId: 's-1' }],
    ['anonymous', { sessionId: 's-1' }],
    ['address', { sessionId: 's-1' }],
    ['none', {}],
  ])('about a %s', (kind, who) => {
    expect(flagContext(HEAD, { ...IDENTITY, kind }, CONTEXT)).toEqual({
      ...who,
      remoteAddress: '192.0.2.1',
      properties: { context: 'catalog', method: 'GET', host: 'shop.example' },
    })
  })

  test('Unleash gets the user id and the session id of a client that has both', () => {
    const asked = flagContext(HEAD, { ...IDENTITY, kind: 'user', key: '7', session: 's-1' }, CONTEXT)
    expect(asked).toMatchObject({ userId: '7', sessionId: 's-1' })
  })

  test.each([
    ['shop.example:8443', 'shop.example'],
    ['shop.example.', 'shop.example'],
    ['[2001:db8::1]:8443', '[2001:db8::1]'],
    ['[2001:db8::1]', '[2001:db8::1]'],
    ['', ''],
  ])('the host %j is the property %j, without a port', (host, property) => {
    expect(flagContext({ ...HEAD, host }, IDENTITY, CONTEXT).properties).toMatchObject({ host: property })
  })
})
