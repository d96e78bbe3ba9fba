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

describe('the decision', () => {
  test.each<[string, Case, string, string, boolean]>([
    [
      'a path that no context owns goes to legacy, even if the flag is on',
      { owned: false },
      'legacy',
      'unowned',
      false,
    ],
    ['a client without an identity goes to legacy', { kind: 'none' }, 'legacy', 'no-identity', false],
    [
      'a client without an identity goes to the service if the flag is on for all clients',
      { kind: 'none', isFullyOn: true },
      'service',
      'flag-on',
      true,
    ],
    ['every request goes to legacy while no flags were read', { answer: 'stale' }, 'legacy', 'flags-stale', false],
    ['a missing flag sends requests to legacy', { answer: 'missing' }, 'legacy', 'flag-missing', false],
    ['a flag that is off sends requests to legacy', { answer: 'off' }, 'legacy', 'flag-off', false],
    ['a flag that is on sends requests to the service', { answer: 'on' }, 'service', 'flag-on', true],
    [
      'a read goes to legacy while the service is unavailable',
      { available: false },
      'legacy',
      'service-unavailable',
      false,
    ],
    [
      'a read goes to the unavailable service if fallback is false',
      { available: false, fallback: false },
      'service',
      'flag-on',
      false,
    ],
    [
      'a write goes to the service while it is unavailable',
      { available: false, method: 'POST' },
      'service',
      'flag-on',
      false,
    ],
    ['a write must not fall back by default', { method: 'DELETE' }, 'service', 'flag-on', false],
    ['OPTIONS counts as a read', { available: false, method: 'OPTIONS' }, 'legacy', 'service-unavailable', false],
    ['HEAD counts as a read', { available: false, method: 'HEAD' }, 'legacy', 'service-unavailable', false],
    ['a write may fall back if fallback is "all"', { fallback: 'all', method: 'POST' }, 'service', 'flag-on', true],
    [
      'a write goes to legacy while the service is unavailable if fallback is "all"',
      { fallback: 'all', method: 'POST', available: false },
      'legacy',
      'service-unavailable',
      false,
    ],
    [
      'a pinned write goes to the service while it is unavailable',
      { pin: 'service', method: 'PUT', available: false },
      'service',
      'pinned',
      false,
    ],
    [
      'the kill switch sends every request to legacy, pinned ones too',
      { isKilled: true, pin: 'service' },
      'legacy',
      'killed',
      false,
    ],
    [
      'the kill switch keeps the reason of a path that no context owns',
      { isKilled: true, owned: false },
      'legacy',
      'unowned',
      false,
    ],
    ['a pin to legacy overrides the flag', { pin: 'legacy' }, 'legacy', 'pinned', false],
    ['a pin to the service overrides the flag', { pin: 'service', answer: 'off' }, 'service', 'pinned', true],
    [
      'a pin to the service applies to clients without an identity',
      { pin: 'service', kind: 'none' },
      'service',
      'pinned',
      true,
    ],
    [
      'a pinned read goes to legacy while the service is unavailable',
      { pin: 'service', available: false },
      'legacy',
      'service-unavailable',
      false,
    ],
    ['outdated flags stay in force by default', { isOld: true }, 'service', 'flag-on', true],
    [
      'outdated flags send requests to legacy if the context requires it',
      { isOld: true, whenStale: 'legacy' },
      'legacy',
      'flags-stale',
      false,
    ],
    ['a pin overrides outdated flags', { isOld: true, whenStale: 'legacy', pin: 'service' }, 'service', 'pinned', true],
    [
      'a flag that is off is the reason even if the service is unavailable',
      { answer: 'off', available: false },
      'legacy',
      'flag-off',
      false,
    ],
  ])('%s', (_, given, side, reason, fallback) => {
    expect(decided(given)).toEqual({ side, reason, fallback })
  })
})

describe('the Unleash context of a request', () => {
  test.each<[Identity['kind'], Partial<FlagContext>]>([
    ['user', { userId: 's-1' }],
    ['session', { sessionId: 's-1' }],
    ['anonymous', { sessionId: 's-1' }],
    ['address', { sessionId: 's-1' }],
    ['none', {}],
  ])('of a client with the identity kind %s equals the context that a service would use', (kind, who) => {
    expect(flagContext(HEAD, { ...IDENTITY, kind }, CONTEXT)).toEqual({
      ...who,
      remoteAddress: '192.0.2.1',
      properties: { context: 'catalog', method: 'GET', host: 'shop.example' },
    })
  })

  test('contains the user id and the session id of a client that has both', () => {
    const context = flagContext(HEAD, { ...IDENTITY, kind: 'user', key: '7', session: 's-1' }, CONTEXT)
    expect(context).toMatchObject({ userId: '7', sessionId: 's-1' })
  })

  test.each([
    ['shop.example:8443', 'shop.example'],
    ['shop.example.', 'shop.example'],
    ['[2001:db8::1]:8443', '[2001:db8::1]'],
    ['[2001:db8::1]', '[2001:db8::1]'],
    ['', ''],
  ])('has for the host %j the property %j, without a port', (host, property) => {
    expect(flagContext({ ...HEAD, host }, IDENTITY, CONTEXT).properties).toMatchObject({ host: property })
  })
})
