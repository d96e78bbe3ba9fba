// Signed tokens, each looked at as often as it may cost: to verify a signature takes up to two milliseconds of the thread
// that forwards requests too, and anybody can make up tokens.
import { createHash } from 'node:crypto'
import { Allowance } from './allowance.ts'
import { ByNetwork } from './by-network.ts'
import { Refusal, retryAfter } from './problem.ts'
import type { Actor, VerifyJwt } from './verify-jwt.ts'

/** Tokens in a row from one network that were never good, and then one every six seconds. */
const BURST = 10
const REFILL_MS = 6_000
/** How long a token that was not good is taken to be none: it may only begin to hold, or its key be new. */
const LOOK_AGAIN_MS = 5_000
const MOST_REFUSED = 16
const MOST_GOOD = 256

type Verdict = Promise<Actor | Refusal>
type Refused = Map<string, { readonly at: number; readonly verdict: Verdict }>

export class Guesses {
  readonly #verify: VerifyJwt
  readonly #now: () => number
  readonly #networks: ByNetwork<{ readonly guesses: Allowance; readonly refused: Refused }>
  /** Digests of tokens that were good once: they are no guesses, and whoever guesses beside them does not keep them out. */
  readonly #good = new Map<string, true>()

  constructor(verify: VerifyJwt, now: () => number) {
    this.#verify = verify
    this.#now = now
    this.#networks = new ByNetwork(() => ({ guesses: new Allowance(BURST, REFILL_MS, now()), refused: new Map() }))
  }

  async look(address: string, token: string): Promise<Actor | Refusal> {
    const digest = createHash('sha256').update(token).digest('base64')
    if (this.#good.has(digest)) {
      keep(this.#good, digest, true, MOST_GOOD)
      return this.#verify(token)
    }
    const { guesses, refused } = this.#networks.of(address)
    const now = this.#now()
    const before = refused.get(digest)
    if (before !== undefined && now - before.at < LOOK_AGAIN_MS) return before.verdict
    // A page or a job with an old token asks again and again: it learns nothing, and uses up nothing.
    const waitMs = before === undefined ? guesses.take(now) : 0
    if (waitMs > 0) return tooMany(waitMs)
    const verdict = this.#verify(token)
    // Whoever says the same meanwhile waits for the same answer.
    keep(refused, digest, { at: now, verdict }, MOST_REFUSED)
    const answer = await verdict
    if (answer instanceof Refusal && answer.status === 401) return answer
    refused.delete(digest)
    if (before === undefined) guesses.giveBack()
    // A bearer without a role is known as well as one with; nobody is where the keys cannot be had.
    if (!(answer instanceof Refusal) || answer.status === 403) keep(this.#good, digest, true, MOST_GOOD)
    return answer
  }

  get size(): number {
    return this.#good.size + this.#networks.size
  }
}

function tooMany(waitMs: number): Refusal {
  return new Refusal('too-many-failures', undefined, { why: 'guesses too often', ...retryAfter(waitMs / 1000) })
}

/** The one that was least recently kept goes where there are too many. */
function keep<Value>(map: Map<string, Value>, key: string, value: Value, most: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > most) map.delete(map.keys().next().value as string)
}
