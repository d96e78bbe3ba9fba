import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ReadFields, RequestHead } from '../../model/request-head.ts'
import type { IdentityPolicy, Snapshot } from '../../model/snapshot.ts'
import { createAnonymousIds } from './anonymous-id.ts'
import { clientOf, createIdentify, identityOfUser, readCookie } from './identify.ts'

const random = { hex: (bytes: number) => 'f'.repeat(bytes * 2) }
const ids = createAnonymousIds('secret', random)
const identify = createIdentify(ids, random)
const PROXY = '10.0.0.1'
const POLICY: IdentityPolicy = {
  user: { header: 'x-account', trusts: (address) => address === PROXY },
  session: { cookie: 'sid' },
  anonymous: 'cookie',
  claimHeaders: undefined,
}

function identified(fields: Partial<ReadFields>, { peer = PROXY, policy = POLICY, secure = false } = {}) {
  const head = { fields, peerAddress: peer, secure } as unknown as RequestHead
  const trustsProxy = (address: string) => address.startsWith('10.')
  return identify(head, { identity: policy, trustsProxy } as unknown as Snapshot)
}

const OWN = ids.setCookie('0'.repeat(32), false).split(';')[0] as string

describe('the identity of a request', () => {
  test.each<[string, Partial<ReadFields>, { peer?: string; policy?: IdentityPolicy }, string, string]>([
    ['the user that a trusted proxy names', { user: '7', cookie: 'sid=1' }, {}, 'user', '7'],
    [
      'the session if an untrusted peer names a user',
      { user: '7', cookie: 'sid=1' },
      { peer: '10.9.9.9' },
      'session',
      '1',
    ],
    ['the session if the user is empty', { user: '', cookie: 'sid=1' }, {}, 'session', '1'],
    ['the session rather than the anonymous id', { cookie: `${OWN}; sid=1` }, {}, 'session', '1'],
    ['the anonymous id that the gateway has signed', { cookie: OWN }, {}, 'anonymous', '0'.repeat(32)],
    ['a new anonymous id if the signature is not valid', { cookie: `${OWN}x` }, {}, 'anonymous', 'f'.repeat(32)],
    ['a new anonymous id if the request has no id', {}, {}, 'anonymous', 'f'.repeat(32)],
    ['the address if the policy is ip', {}, { policy: { ...POLICY, anonymous: 'ip' } }, 'address', PROXY],
    ['none if the policy is legacy', {}, { policy: { ...POLICY, anonymous: 'legacy' } }, 'none', ''],
  ])('is %s', (_, fields, by, kind, key) => {
    expect(identified(fields, by)).toMatchObject({ kind, key, isNew: key.startsWith('f') })
  })

  test.each<[string, Partial<ReadFields>, string | undefined]>([
    ['a session cookie', { user: '7', cookie: 'sid=1' }, '1'],
    ['an anonymous id only', { user: '7', cookie: OWN }, undefined],
    ['no cookie', { user: '7' }, undefined],
  ])('contains the session beside the user id of a user with %s', (_, fields, session) => {
    expect(identified(fields)).toMatchObject({ kind: 'user', key: '7', session })
  })

  test('keeps the session of a request whose token names the user', () => {
    const verified = { userId: '9', fields: [] } as unknown as Parameters<typeof identityOfUser>[1]
    expect(identityOfUser(identified({ cookie: 'sid=1' }), verified)).toMatchObject({
      kind: 'user',
      key: '9',
      session: '1',
    })
    const user = identified({ user: '7', cookie: 'sid=1' })
    expect(identityOfUser(user, verified)).toMatchObject({ kind: 'user', key: '9', session: '1' })
    expect(identityOfUser(identified({ cookie: OWN }), verified).session).toBeUndefined()
  })

  test('uses X-Forwarded-For only from a trusted proxy', () => {
    expect(identified({ forwardedFor: '6.6.6.6, 192.0.2.7, 10.0.0.9' }).clientAddress).toBe('192.0.2.7')
    expect(identified({ forwardedFor: '192.0.2.7' }, { peer: '192.0.2.1' }).clientAddress).toBe('192.0.2.1')
  })

  test.each([
    [{ forwardedProto: 'https' }, PROXY, false, true],
    [{ forwardedProto: 'https, http' }, PROXY, false, true],
    [{ forwardedProto: 'http' }, PROXY, true, false],
    [{ forwardedProto: 'httpsx' }, PROXY, false, false],
    [{ forwardedProto: 'https' }, '192.0.2.1', false, false],
    [{ forwardedProto: 'http' }, '192.0.2.1', true, true],
    [{}, PROXY, true, true],
  ])('with %j from %s with TLS %s has secure %s', (fields, peer, secure, expected) => {
    expect(identified(fields, { peer, secure }).secure).toBe(expected)
  })

  test.each([
    ['lb-1', PROXY, 'lb-1'],
    ['Root=1-67891233-abcdef012345678912345678', PROXY, 'Root=1-67891233-abcdef012345678912345678'],
    ['lb-1', '192.0.2.1', 'f'.repeat(32)],
    ['a, b', PROXY, 'f'.repeat(32)],
    ['a\u009b', PROXY, 'f'.repeat(32)],
    ['x'.repeat(129), PROXY, 'f'.repeat(32)],
  ])('with the X-Request-Id %j from %s has the request id %s', (requestId, peer, expected) => {
    expect(identified({ requestId }, { peer }).requestId).toBe(expected)
  })
})

describe('the client of X-Forwarded-For', () => {
  const trusts = (address: string) => address.startsWith('10.')
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['6.6.6.6, 192.0.2.7', '192.0.2.7'],
    ['192.0.2.7, 10.1.1.1,10.2.2.2', '192.0.2.7'],
    ['10.1.1.1', '10.1.1.1'],
    ['192.0.2.7:4711', '192.0.2.7'],
    ['[2001:db8::1]:80', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['unknown', '10.0.0.1'],
    ['', '10.0.0.1'],
    ['192.0.2.7, evil, 10.1.1.1', '10.1.1.1'],
    ['192.0.2.7,', '10.0.0.1'],
    ['1.2.3.4\u009b31m', '10.0.0.1'],
    ['999.1.1.1', '10.0.0.1'],
  ])('%j is %s', (list, expected) => {
    expect(clientOf(list, '10.0.0.1', trusts)).toBe(expected)
  })
})

describe('a cookie', () => {
  test.each([
    ['sid=1', '1'],
    ['a=b; sid=1; c=d', '1'],
    ['a=b;sid=1', '1'],
    ['sid="1"', '1'],
    ['sid=1; sid=2', '1'],
    ['xsid=2; sid=1', '1'],
    ['sidx=2; sid=1', '1'],
    ['a=sid=2; sid=1', '1'],
    ['a="; sid=1', '1'],
    ['sid=a=b', 'a=b'],
    ['sid=', undefined],
    ['sid=""', undefined],
    ['sid', undefined],
    ['SID=1', undefined],
    ['x-sid=1', undefined],
    ['', undefined],
  ])('with the name sid in %j has the value %j', (line, expected) => {
    expect(readCookie(line, 'sid')).toBe(expected)
  })

  test('is read whatever other cookies surround it', () => {
    const name = fc.stringMatching(/^[a-z]{1,4}$/).filter((text) => text !== 'sid')
    const pair = fc.tuple(name, fc.stringMatching(/^[\w=.-]{0,6}$/)).map(([key, value]) => `${key}=${value}`)
    fc.assert(
      fc.property(fc.array(pair), fc.array(pair), (left, right) => {
        expect(readCookie([...left, 'sid=mine', ...right].join('; '), 'sid')).toBe('mine')
        expect(readCookie([...left, ...right].join('; '), 'sid')).toBeUndefined()
      }),
    )
  })
})
