// The public keys of issuers. jwks-rsa reads a key set (RFC 7517); this module decides when, and keeps the result.
//
// jwks-rsa's own cache is not used. It holds single keys by the `kid` that a client sends: each unknown `kid` causes a
// fetch, five of them evict the valid keys, and an expired key is missing while the issuer is down. Its rate limit then
// blocks valid keys too. So this module keeps the whole set until it has read a newer one.
import { createPublicKey } from 'node:crypto'
import { JwksClient, type SigningKey } from 'jwks-rsa'
import { readUpTo } from '../lib/bounded-read.ts'
import { LEAST_RSA_BITS } from '../model/auth.ts'
import type { Events } from '../telemetry/events.ts'
import type { TokenKey } from './token-key.ts'

/** The shortest time between two fetches of a set. */
const COOL_DOWN_MS = 30_000
/** The same before the first set was read: an issuer can start later than the gateway. */
const FIRST_COOL_DOWN_MS = 5_000
/** An older set is read again, and serves until then. */
const FRESH_MS = 5 * 60_000
/** An unused set of this age is read again before it serves: its issuer may have withdrawn a key. */
const UNUSED_MS = 2 * FRESH_MS
/** The time limit of a fetch, to the last byte. */
const FETCH_MS = 2000
const MOST_BYTES = 256 * 1024
const MOST_KEYS = 100

/** `unknown`: the set does not contain the key. `unreachable`: no set was ever read. */
export type KeyLookup = TokenKey | 'unknown' | 'unreachable'

export type KeySetEvents = Pick<Events, 'keysRead' | 'keysFailed'>

/** `now` returns milliseconds of a monotonic clock. */
type KeySetOptions = { readonly now: () => number; readonly events: KeySetEvents }

export class KeySets {
  readonly #options: KeySetOptions
  /** By address. They outlive an edit of the map, because their issuer may be down at that time. */
  readonly #sets = new Map<string, KeySet>()

  constructor(options: KeySetOptions) {
    this.#options = options
  }

  /** Finds a key. Returns a promise only if the set must be read first; never throws or rejects. */
  find(uri: string, kid: string | undefined): KeyLookup | Promise<KeyLookup> {
    let set = this.#sets.get(uri)
    if (set === undefined) {
      set = new KeySet(uri, this.#options)
      this.#sets.set(uri, set)
    }
    return set.find(kid)
  }
}

class KeySet {
  readonly #uri: string
  readonly #options: KeySetOptions
  readonly #client: JwksClient
  /** The set that was read last, by `kid`; `''` for a key without a `kid`. */
  #keys: ReadonlyMap<string, TokenKey> = new Map()
  #readAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #isFailing = false
  #fetching: Promise<void> | undefined

  constructor(uri: string, options: KeySetOptions) {
    this.#uri = uri
    this.#options = options
    this.#client = new JwksClient({ jwksUri: uri, cache: false, rateLimit: false, fetcher: fetchSet })
  }

  find(kid: string | undefined): KeyLookup | Promise<KeyLookup> {
    const key = this.#keyOf(kid)
    const ageMs = this.#options.now() - this.#readAt
    if (key !== undefined && ageMs <= FRESH_MS) return key
    const fetching = this.#fetch()
    const mayServe = key !== undefined && (this.#isFailing || ageMs <= UNUSED_MS)
    if (mayServe || fetching === undefined) return this.#lookUp(kid)
    return fetching.then(() => this.#lookUp(kid))
  }

  #lookUp(kid: string | undefined): KeyLookup {
    return this.#keyOf(kid) ?? (this.#keys.size === 0 ? 'unreachable' : 'unknown')
  }

  /** A token without a `kid` is verified with the only key of a set. */
  #keyOf(kid: string | undefined): TokenKey | undefined {
    if (kid !== undefined) return this.#keys.get(kid)
    return this.#keys.size === 1 ? this.#keys.values().next().value : undefined
  }

  /** The fetch in progress, or a new one; undefined during the cool-down. */
  #fetch(): Promise<void> | undefined {
    if (this.#fetching !== undefined) return this.#fetching
    const now = this.#options.now()
    const coolDownMs = this.#keys.size === 0 ? FIRST_COOL_DOWN_MS : COOL_DOWN_MS
    if (now - this.#triedAt < coolDownMs) return undefined
    this.#triedAt = now
    this.#fetching = this.#read().finally(() => {
      this.#fetching = undefined
    })
    return this.#fetching
  }

  /** Never rejects: a failed read keeps the previous set. */
  async #read(): Promise<void> {
    const { events, now } = this.#options
    try {
      const keys = new Map<string, TokenKey>()
      for (const key of await this.#client.getSigningKeys()) addKey(keys, key)
      if (keys.size === 0) throw new Error('the set contains no usable key')
      this.#keys = keys
      this.#readAt = now()
      this.#isFailing = false
      events.keysRead({ uri: this.#uri, keys: keys.size })
    } catch (error) {
      this.#isFailing = true
      events.keysFailed({ uri: this.#uri, error })
    }
  }
}

/** Of several keys with one `kid`, the first counts. */
function addKey(keys: Map<string, TokenKey>, { kid, alg, getPublicKey }: SigningKey): void {
  const key = createPublicKey(getPublicKey())
  const bits = key.asymmetricKeyDetails?.modulusLength ?? LEAST_RSA_BITS
  const name = kid ?? ''
  if (bits >= LEAST_RSA_BITS && !keys.has(name)) keys.set(name, { key, alg })
}

/** One GET of a set. jwks-rsa's own fetch has no limit of size, and a time limit for silence only. */
async function fetchSet(uri: string): Promise<{ keys: unknown[] }> {
  // A redirect could lead to an address that the map does not contain.
  const answer = await fetch(uri, {
    redirect: 'error',
    signal: AbortSignal.timeout(FETCH_MS),
    headers: { accept: 'application/jwk-set+json, application/json' },
  })
  if (answer.status !== 200) {
    await answer.body?.cancel()
    throw new Error(`status ${answer.status}`)
  }
  const { keys } = JSON.parse((await readUpTo(MOST_BYTES, answer.body)).toString('utf8')) as { keys?: unknown }
  if (!Array.isArray(keys) || keys.length > MOST_KEYS)
    throw new Error(`the response is not a list of at most ${MOST_KEYS} keys`)
  return { keys }
}
