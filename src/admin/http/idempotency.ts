// Answers to changes, stored by the Idempotency-Key of the client: a repeated request gets the first answer, and the change is
// made once. Answers are in the memory of this gateway, for one day at most.
import { createHash } from 'node:crypto'
import { LruMap } from '../../lib/lru-map.ts'
import { ApiRefusal } from './problem.ts'

const MAX_AGE_MS = 24 * 60 * 60_000
const MAX_KEYS_PER_ACTOR = 256
const MAX_ACTORS = 64

type StoredAnswer<Answer> = { readonly fingerprint: string; readonly expiresAt: number; answer: Answer | undefined }

export class IdempotencyCache<Answer> {
  readonly #now: () => number
  readonly #entriesByActor = new LruMap<string, LruMap<string, StoredAnswer<Answer>>>(MAX_ACTORS)

  constructor(now: () => number) {
    this.#now = now
  }

  /**
   * Returns the stored answer of this key, or runs `work` and stores its answer.
   *
   * @param request the content of the request: the same key with other content is refused
   * @param isFinal whether a repeated request would get the same answer; other answers are not stored
   */
  async run(
    { actor, key, request }: { readonly actor: string; readonly key: string; readonly request: string },
    work: () => Promise<Answer>,
    isFinal: (answer: Answer) => boolean,
  ): Promise<{ readonly answer: Answer; readonly isRepeated: boolean } | ApiRefusal> {
    const entries = this.#entriesOf(actor)
    const fingerprint = createHash('sha256').update(request).digest('base64')
    const stored = entries.get(key)
    if (stored !== undefined && stored.expiresAt > this.#now()) {
      if (stored.fingerprint !== fingerprint) return new ApiRefusal('key-reused', 'give each request a key of its own')
      if (stored.answer === undefined)
        return new ApiRefusal('in-progress', undefined, { headers: { 'Retry-After': '1' } })
      return { answer: stored.answer, isRepeated: true }
    }
    const entry: StoredAnswer<Answer> = { fingerprint, expiresAt: this.#now() + MAX_AGE_MS, answer: undefined }
    entries.set(key, entry)
    const remove = () => {
      if (entries.get(key) === entry) entries.delete(key)
    }
    try {
      const answer = await work()
      if (isFinal(answer)) entry.answer = answer
      else remove()
      return { answer, isRepeated: false }
    } catch (error) {
      remove()
      throw error
    }
  }

  #entriesOf(actor: string): LruMap<string, StoredAnswer<Answer>> {
    let entries = this.#entriesByActor.get(actor)
    if (entries === undefined) {
      entries = new LruMap(MAX_KEYS_PER_ACTOR)
      this.#entriesByActor.set(actor, entries)
    }
    return entries
  }
}

/** @returns undefined if the request has no key */
export function readIdempotencyKey(field: string | string[] | undefined): string | undefined | ApiRefusal {
  if (field === undefined) return undefined
  if (typeof field === 'string' && /^[\x21-\x7e]{1,200}$/.test(field)) return field
  return new ApiRefusal('bad-request', 'Idempotency-Key must be 1 to 200 visible characters, such as a UUID')
}
