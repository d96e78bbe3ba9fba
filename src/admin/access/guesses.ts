// Limits the cost of signed tokens that are not known to be valid: a token is checked once in five seconds, and signature
// checks take turns.
import { createHash } from 'node:crypto'
import { LruMap } from '../../lib/lru-map.ts'
import { NetworkMap } from '../http/network-map.ts'
import { ApiRefusal } from '../http/problem.ts'
import { SignatureTurns } from './signature-turns.ts'
import type { Actor, VerifyJwt } from './verify-jwt.ts'

/** A rejected token is checked again after this time: it may have become valid, or its key may be new. */
const RECHECK_MS = 5_000
const MOST_REJECTED = 16
const MOST_VALID = 256

type VerifyResult = Promise<Actor | ApiRefusal>
/** `isGone` has one function for each caller that waits for the verdict. */
type Check = { readonly startedAt: number; readonly verdict: VerifyResult; readonly isGone: (() => boolean)[] }

export class Guesses {
  readonly #verify: VerifyJwt
  readonly #now: () => number
  readonly #networks = new NetworkMap<LruMap<string, Check>>(() => new LruMap(MOST_REJECTED))
  readonly #turns = new SignatureTurns()
  /** Digests of tokens that were valid once: their signature checks wait for no turn. */
  readonly #valid = new LruMap<string, true>(MOST_VALID)

  constructor(verify: VerifyJwt, now: () => number) {
    this.#verify = verify
    this.#now = now
  }

  /** @param isGone whether the caller has disconnected: its token is then not checked */
  async verify(address: string, token: string, isGone: () => boolean = () => false): VerifyResult {
    const digest = createHash('sha256').update(token).digest('base64')
    const result = this.#valid.has(digest)
      ? await this.#verify(token)
      : await this.#check(address, token, digest, isGone)
    // 403: a valid token without a role. 503: the keys cannot be read, so the token may be valid or not.
    if (!(result instanceof ApiRefusal) || result.status === 403) this.#valid.set(digest, true)
    else if (result.status === 401) this.#valid.delete(digest)
    return result
  }

  async #check(address: string, token: string, digest: string, isGone: () => boolean): VerifyResult {
    const checks = this.#networks.getOrCreate(address)
    const now = this.#now()
    const earlier = checks.get(digest)
    if (earlier !== undefined && now - earlier.startedAt < RECHECK_MS) {
      if (earlier.isGone.length > 0) earlier.isGone.push(isGone)
      return earlier.verdict
    }
    // Callers that present the same token meanwhile share the verdict. The check is dropped only if all of them leave.
    const callers = [isGone]
    const areGone = () => callers.every((isGone) => isGone())
    const verdict = this.#verify(token, (check) => this.#turns.take(address, areGone, check))
    const entry = { startedAt: now, verdict, isGone: callers }
    checks.set(digest, entry)
    const result = await verdict
    callers.length = 0
    const isRejected = result instanceof ApiRefusal && result.status === 401
    if (!isRejected && checks.get(digest) === entry) checks.delete(digest)
    return result
  }

  get size(): number {
    return this.#valid.size + this.#networks.size
  }
}
