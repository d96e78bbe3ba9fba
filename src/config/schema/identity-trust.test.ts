import { describe, expect, test } from 'vitest'
import { identityTrustMistakes } from './identity-trust.ts'

const mistakesOf = (trust: readonly string[], trustedProxies: readonly string[]) =>
  identityTrustMistakes({
    identity: { user: { header: 'x-user-id', trust }, session: undefined, anonymous: 'cookie' },
    trustedProxies,
  }).map(({ path }) => path)

describe('a range of identity.user.trust within trustedProxies is accepted', () => {
  test.each([
    [['10.0.0.0/8'], ['10.0.0.0/8']],
    [['10.1.2.3'], ['10.0.0.0/8']],
    [['10.1.2.3/32'], ['10.1.2.3']],
    [['10.200.0.0/16'], ['10.128.0.0/9']],
    [['10.0.0.0/8'], ['10.0.0.0/9', '10.128.0.0/9']],
    [['127.0.0.1'], ['loopback']],
    [['::1'], ['loopback']],
    [['loopback'], ['loopback']],
    [['loopback'], ['127.0.0.0/8', '::1']],
    [['192.168.7.0/24'], ['uniquelocal']],
    [['fd00::/8'], ['uniquelocal']],
    [['2001:db8:1::/48'], ['2001:db8::/32']],
    [['::ffff:10.0.0.1'], ['10.0.0.0/8']],
    [['10.0.0.0/16'], ['::ffff:10.0.0.0/104']],
    [['::ffff:10.0.0.0/104'], ['10.0.0.0/8']],
    [['FE80::1'], ['linklocal']],
  ])('%j within %j', (trust, proxies) => {
    expect(mistakesOf(trust, proxies)).toEqual([])
  })
})

describe('a range of identity.user.trust wider than trustedProxies, or beside it, is a mistake', () => {
  test.each([
    [['10.0.0.0/8'], []],
    [['10.0.0.0/8'], ['127.0.0.1/32']],
    [['10.0.0.0/8'], ['10.0.0.0/9']],
    [['10.0.0.0/8'], ['10.0.0.0/9', '10.192.0.0/10']],
    [['10.0.0.2'], ['10.0.0.1']],
    [['loopback'], ['127.0.0.0/8']],
    [['uniquelocal'], ['10.0.0.0/8']],
    [['2001:db8::/32'], ['2001:db8::/33']],
    [['::ffff:0.0.0.0/96'], ['10.0.0.0/8']],
    [['::/1'], ['uniquelocal', 'loopback', 'linklocal']],
    [['::1'], ['0.0.0.1']],
  ])('%j and %j', (trust, proxies) => {
    expect(mistakesOf(trust, proxies)).toEqual(['identity.user.trust[0]'])
  })

  test('each such range is named by its place in the list', () => {
    expect(mistakesOf(['10.0.0.1', '172.16.0.0/12', '10.0.0.2'], ['10.0.0.1'])).toEqual([
      'identity.user.trust[1]',
      'identity.user.trust[2]',
    ])
  })
})

test('a map without identity.user has no such mistake', () => {
  const identity = { user: undefined, session: undefined, anonymous: 'cookie' } as const
  expect(identityTrustMistakes({ identity, trustedProxies: [] })).toEqual([])
})
