// Who asks, proved: the one token of a request, verified under its route's policy. Waits only for a key it has not met.
import { createPublicKey, createSecretKey, hash } from 'node:crypto'
import { createKeySets, type KeyLookup } from '../../auth/jwks.ts'
import { readToken, type Token } from '../../auth/read-token.ts'
import { VerifiedCache } from '../../auth/verified-cache.ts'
import { invalidToken, noToken, type TokenKey, type VerifiedToken, verifyToken } from '../../auth/verify-token.ts'
import type { AuthPolicy, KeySource } from '../../model/auth.ts'
import type { Clock } from '../../model/ports.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { Events } from '../../telemetry/events.ts'
import { Refusal } from './refusal.ts'

export type { VerifiedToken as Verified } from '../../auth/verify-token.ts'

/** What a token proves, or why the request is turned away; undefined where none came and none is needed. */
export type Access = VerifiedToken | Refusal | undefined

/** A promise only where a set of keys must be read first, two seconds at most. */
export type Authenticate = (head: RequestHead, policy: AuthPolicy) => Access | Promise<Access>

export function createAuthenticate(clock: Clock, events: Pick<Events, 'keysRead' | 'keysFailed'>): Authenticate {
  const keySets = createKeySets({ now: clock.now, events })
  const cache = new VerifiedCache()
  const ownKeys = new WeakMap<AuthPolicy, TokenKey>()

  return (head, policy) => {
    const text = bearerToken(head)
    if (text === undefined) return policy.optional ? undefined : noToken()
    if (text instanceof Refusal) return text
    const name = `${policy.id}${hash('sha256', text, 'base64')}`
    const known = cache.get(name, clock.wallTime())
    if (known !== undefined) return known
    const token = readToken(text)
    if (typeof token === 'string') return invalidToken(token)
    const key = keyFor(policy, token)
    return key instanceof Promise
      ? key.then((found) => judge(token, policy, found, name))
      : judge(token, policy, key, name)
  }

  function keyFor(policy: AuthPolicy, { alg, kid }: Token): KeyLookup | Promise<KeyLookup> {
    // Before any key is looked for: garbage costs no fetch.
    if (!policy.algorithms.some((name) => name === alg)) return 'unknown'
    if (policy.key.kind === 'jwks') return keySets.find(policy.key.uri, kid)
    let key = ownKeys.get(policy)
    if (key === undefined) {
      key = ownKey(policy.key)
      ownKeys.set(policy, key)
    }
    return key
  }

  function judge(token: Token, policy: AuthPolicy, key: KeyLookup, name: string): VerifiedToken | Refusal {
    // The token may be as good as any: that nobody can tell is not the client's doing.
    if (key === 'unreachable') return new Refusal('keys-unreachable', 'the issuer’s keys were never read')
    if (key === 'unknown') return invalidToken('no key for this algorithm and kid')
    const now = clock.wallTime()
    const verified = verifyToken(token, policy, key, now)
    if (!(verified instanceof Refusal)) cache.set(name, verified, now)
    return verified
  }
}

function ownKey(source: Exclude<KeySource, { kind: 'jwks' }>): TokenKey {
  const isSecret = source.kind === 'secret'
  return {
    key: isSecret ? createSecretKey(source.secret, 'utf8') : createPublicKey(source.pem),
    alg: undefined,
  }
}

const SCHEME = /^bearer(?: |$)/i

/**
 * The token of the Authorization field: the one place there is. A scheme's name has no case (RFC 9110 section 11.1), and
 * what follows it are spaces, one or more. Other schemes are no token. The fields are those that go on to the upstream,
 * so that both read the same one.
 */
function bearerToken({ endToEnd }: RequestHead): string | Refusal | undefined {
  let authorization: string | undefined
  for (let i = 0; i < endToEnd.length; i += 2) {
    const name = endToEnd[i] as string
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') continue
    // RFC 9110 section 5.3: it may come once only. Which of two counts is anybody's guess.
    if (authorization !== undefined) return invalidToken('two Authorization fields')
    authorization = endToEnd[i + 1] as string
  }
  if (authorization === undefined || !SCHEME.test(authorization)) return undefined
  return authorization.slice('bearer'.length).replace(/^ +/, '')
}
