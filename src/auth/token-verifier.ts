// Verifies the token of a request under the policy of its route. Waits only for keys that it does not have.
import { hash } from 'node:crypto'
import type { AuthPolicy } from '../model/auth.ts'
import type { Clock } from '../model/ports.ts'
import type { HeaderList } from '../model/request-head.ts'
import { bearerToken } from './bearer-token.ts'
import { type KeyLookup, type KeySetEvents, KeySets } from './key-sets.ts'
import { readToken, type Token } from './read-token.ts'
import { importKey, type TokenKey } from './token-key.ts'
import { invalidToken, TokenRejection } from './token-rejection.ts'
import { VerifiedCache } from './verified-cache.ts'
import { type VerifiedToken, verifyToken } from './verify-token.ts'

/** Undefined if the policy does not require a token and the request has none. */
export type TokenResult = VerifiedToken | TokenRejection | undefined

type TokenVerifierOptions = { readonly clock: Clock; readonly events: KeySetEvents }

export class TokenVerifier {
  readonly #clock: Clock
  readonly #keySets: KeySets
  readonly #cache = new VerifiedCache()
  readonly #staticKeys = new WeakMap<AuthPolicy, TokenKey>()

  constructor({ clock, events }: TokenVerifierOptions) {
    this.#clock = clock
    this.#keySets = new KeySets({ now: clock.now, events })
  }

  /**
   * @param fields the header fields that the upstream receives too, so that both use the same token
   * @returns a promise only if a key set must be fetched first, which takes two seconds at most
   */
  verify(fields: HeaderList, policy: AuthPolicy): TokenResult | Promise<TokenResult> {
    const text = bearerToken(fields)
    if (text === undefined) return policy.optional ? undefined : MISSING
    if (text instanceof TokenRejection) return text
    const cacheKey = `${policy.id}${hash('sha256', text, 'base64')}`
    const verified = this.#cache.get(cacheKey, this.#clock.wallTime())
    if (verified !== undefined) return verified
    const token = readToken(text)
    if (token instanceof TokenRejection) return token
    const key = this.#findKey(policy, token)
    return key instanceof Promise
      ? key.then((settled) => this.#verifyWith(settled, token, policy, cacheKey))
      : this.#verifyWith(key, token, policy, cacheKey)
  }

  #findKey(policy: AuthPolicy, { alg, kid }: Token): KeyLookup | Promise<KeyLookup> {
    // Before any lookup: a token with another algorithm must not cause a fetch.
    if (!policy.algorithms.some((name) => name === alg)) return 'unknown'
    if (policy.key.kind === 'jwks') return this.#keySets.find(policy.key.uri, kid)
    let key = this.#staticKeys.get(policy)
    if (key === undefined) {
      key = importKey(policy.key)
      this.#staticKeys.set(policy, key)
    }
    return key
  }

  #verifyWith(key: KeyLookup, token: Token, policy: AuthPolicy, cacheKey: string): VerifiedToken | TokenRejection {
    if (key === 'unreachable') return UNREACHABLE
    if (key === 'unknown') return invalidToken('no key for this algorithm and kid')
    const now = this.#clock.wallTime()
    const result = verifyToken(token, policy, key, now)
    if (!(result instanceof TokenRejection)) this.#cache.set(cacheKey, result, now)
    return result
  }
}

const MISSING = new TokenRejection('missing', 'no token')
const UNREACHABLE = new TokenRejection('keys-unreachable', 'the issuer’s keys were never read')
