// Signed tokens that are not known to be valid: the same token is checked once in five seconds, and signature checks take turns.
import { createHash } from 'node:crypto'
import { NetworkMap } from '../http/network-map.ts'
import { Refusal } from '../http/problem.ts'
import { SignatureTurns } from './signature-turns.ts'
import type { Actor, VerifyJwt } from './verify-jwt.ts'

/** For how long a refused token is refused unchecked: its time may begin, or its key be new. */
const LOOK_AGAIN_MS = 5_000
const MOST_REFUSED = 16
const MOST_GOOD = 256

type Verdict = Promise<Actor | Refusal>
/** `isGone` has one function for each caller that waits for the verdict. */
type Checked = { readonly at: number; readonly verdict: Verdict; readonly isGone: (() => boolean)[] }

export class Guesses {
  readonly #verify: VerifyJwt
  readonly #now: () => number
  readonly #networks = new NetworkMap<Map<string, Checked>>(() => new Map())
  readonly #turns = new SignatureTurns()
  /** Digests of tokens that were valid once: their signature checks wait for no turn. */
  readonly #good = new Map<string, true>()

  constructor(verify: VerifyJwt, now: () => number) {
    this.#verify = verify
    this.#now = now
  }

  /** @param isGone whether the caller has left, for whom nothing is checked any more */
  async look(address: string, token: string, isGone: () => boolean = () => false): Promise<Actor | Refusal> {
    const digest = createHash('sha256').update(token).digest('base64')
    const answer = this.#good.has(digest)
      ? await this.#verify(token)
      : await this.#check(address, token, digest, isGone)
    // A token without a role is known as well as one with a role. While the keys cannot be read nothing is known.
    if (!(answer instanceof Refusal) || answer.status === 403) keep(this.#good, digest, true, MOST_GOOD)
    else if (answer.status === 401) this.#good.delete(digest)
    return answer
  }

  async #check(address: string, token: string, digest: string, isGone: () => boolean): Verdict {
    const checked = this.#networks.getOrCreate(address)
    const now = this.#now()
    const before = checked.get(digest)
    if (before !== undefined && now - before.at < LOOK_AGAIN_MS) {
      if (before.isGone.length > 0) before.isGone.push(isGone)
      return before.verdict
    }
    // Callers that present the same token meanwhile wait for the same verdict, and as long as one of them is there.
    const callers = [isGone]
    const areGone = () => callers.every((isGone) => isGone())
    const verdict = this.#verify(token, (check) => this.#turns.take(address, areGone, check))
    const entry = { at: now, verdict, isGone: callers }
    keep(checked, digest, entry, MOST_REFUSED)
    const answer = await verdict
    callers.length = 0
    const isRefused = answer instanceof Refusal && answer.status === 401
    if (!isRefused && checked.get(digest) === entry) checked.delete(digest)
    return answer
  }

  get size(): number {
    return this.#good.size + this.#networks.size
  }
}

/** Evicts the least recently kept entry where there are too many. */
function keep<Value>(map: Map<string, Value>, key: string, value: Value, most: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > most) map.delete(map.keys().next().value as string)
}
