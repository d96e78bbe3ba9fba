// The public keys of issuers. jwks-rsa reads a set and makes keys of it; when it is asked, and what is kept, is here.
//
// Its own cache is one of single keys by the `kid` that a client says: every unknown one is a fetch of its own, five of
// them push the good ones out, and a key whose time is up is gone while the issuer is down. Its rate limit then keeps
// the good keys out together with the bad. So the set is kept whole here, for as long as there is no newer.
import { createPublicKey } from 'node:crypto'
import { JwksClient, type SigningKey } from 'jwks-rsa'
import { readUpTo } from '../lib/bounded-read.ts'
import { LEAST_RSA_BITS } from '../model/auth.ts'
import type { Events } from '../telemetry/events.ts'
import type { TokenKey } from './verify-token.ts'

/** Between two fetches of a set at least, whoever asks for what. */
const COOL_DOWN_MS = 30_000
/** The same while no set was ever read: an issuer that starts later than the gateway is soon found. */
const FIRST_COOL_DOWN_MS = 5_000
/** A set that is older is read again, while the old one serves. */
const FRESH_MS = 5 * 60_000
/** A set that nobody has asked for so long is read before it serves: what was withdrawn meanwhile is not believed. */
const UNASKED_MS = 2 * FRESH_MS
/** A fetch, from its beginning to the last byte. */
const FETCH_MS = 2000
const MOST_BYTES = 256 * 1024
const MOST_KEYS = 100

/** `unknown`: no such key in the set. `unreachable`: no set was ever read. */
export type KeyLookup = TokenKey | 'unknown' | 'unreachable'

export type KeySets = {
  /** A key, at once but where the set must be read for it first. Never throws. */
  readonly find: (uri: string, kid: string | undefined) => KeyLookup | Promise<KeyLookup>
}

export type KeySetOptions = { readonly now: () => number; readonly events: Pick<Events, 'keysRead' | 'keysFailed'> }

export function createKeySets(options: KeySetOptions): KeySets {
  // They outlive an edit of the map: its keys must not be lost just while their issuer is down.
  const sets = new Map<string, KeySet>()
  return {
    find: (uri, kid) => {
      let set = sets.get(uri)
      if (set === undefined) {
        set = new KeySet(uri, options)
        sets.set(uri, set)
      }
      return set.find(kid)
    },
  }
}

class KeySet {
  readonly #uri: string
  readonly #options: KeySetOptions
  readonly #client: JwksClient
  /** The last good set, by `kid`; `''` is a key without. */
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
    const known = this.#keyOf(kid)
    const ageMs = this.#options.now() - this.#readAt
    if (known !== undefined && ageMs <= FRESH_MS) return known
    const fetching = this.#fetch()
    const mayServe = known !== undefined && (this.#isFailing || ageMs <= UNASKED_MS)
    if (mayServe || fetching === undefined) return this.#answer(kid)
    return fetching.then(() => this.#answer(kid))
  }

  #answer(kid: string | undefined): KeyLookup {
    return this.#keyOf(kid) ?? (this.#keys.size === 0 ? 'unreachable' : 'unknown')
  }

  /** A token that names no key is taken where there is only one. */
  #keyOf(kid: string | undefined): TokenKey | undefined {
    if (kid !== undefined) return this.#keys.get(kid)
    return this.#keys.size === 1 ? this.#keys.values().next().value : undefined
  }

  /** The fetch under way, or a new one; undefined where the last one is too short ago. */
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

  /** Never rejects: what cannot be read leaves the last good set. */
  async #read(): Promise<void> {
    const { events, now } = this.#options
    try {
      const keys = new Map<string, TokenKey>()
      for (const key of await this.#client.getSigningKeys()) addKey(keys, key)
      if (keys.size === 0) throw new Error('no key in the set can be used')
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

/** The first of a name counts. */
function addKey(keys: Map<string, TokenKey>, { kid, alg, getPublicKey }: SigningKey): void {
  const key = createPublicKey(getPublicKey())
  const bits = key.asymmetricKeyDetails?.modulusLength ?? LEAST_RSA_BITS
  const name = kid ?? ''
  if (bits >= LEAST_RSA_BITS && !keys.has(name)) keys.set(name, { key, alg })
}

/**
 * One GET of a set. jwks-rsa's own has a limit for silence only, so that an endpoint that dribbles keeps it for ever, and
 * none for the size.
 */
async function fetchSet(uri: string): Promise<{ keys: unknown[] }> {
  // A redirect leads where the map does not say.
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
  if (!Array.isArray(keys) || keys.length > MOST_KEYS) throw new Error(`no list of at most ${MOST_KEYS} keys`)
  return { keys }
}
