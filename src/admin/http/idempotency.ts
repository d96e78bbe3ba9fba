// What became of a write, remembered by the key that its sender gave it: asked again, it is answered again and not done
// again. In the memory of this gateway, and no longer than a day.
import { createHash } from 'node:crypto'
import { Refusal } from './problem.ts'

const KEPT_MS = 24 * 60 * 60_000
const MOST_KEYS_OF_AN_ACTOR = 256
const MOST_ACTORS = 64

type Kept<Answer> = { readonly fingerprint: string; readonly until: number; answer: Answer | undefined }

export class RememberedAnswers<Answer> {
  readonly #now: () => number
  readonly #byActor = new Map<string, Map<string, Kept<Answer>>>()

  constructor(now: () => number) {
    this.#now = now
  }

  /**
   * The answer that this key has had, or that of `work`.
   *
   * @param request what is asked: the same key for anything else is a mistake
   * @param isFinal whether asking again would get the same; what is not final is forgotten
   */
  async once(
    { actor, key, request }: { readonly actor: string; readonly key: string; readonly request: string },
    work: () => Promise<Answer>,
    isFinal: (answer: Answer) => boolean,
  ): Promise<{ readonly answer: Answer; readonly isRepeated: boolean } | Refusal> {
    const keys = this.#keysOf(actor)
    const fingerprint = createHash('sha256').update(request).digest('base64')
    const kept = keys.get(key)
    if (kept !== undefined && kept.until > this.#now()) {
      if (kept.fingerprint !== fingerprint) return new Refusal('key-reused', 'give each request a key of its own')
      if (kept.answer === undefined) return new Refusal('in-progress', undefined, { headers: { 'Retry-After': '1' } })
      return { answer: kept.answer, isRepeated: true }
    }
    const mine: Kept<Answer> = { fingerprint, until: this.#now() + KEPT_MS, answer: undefined }
    put(keys, key, mine, MOST_KEYS_OF_AN_ACTOR)
    const forget = () => void (keys.get(key) === mine && keys.delete(key))
    try {
      const answer = await work()
      if (isFinal(answer)) mine.answer = answer
      else forget()
      return { answer, isRepeated: false }
    } catch (error) {
      forget()
      throw error
    }
  }

  #keysOf(actor: string): Map<string, Kept<Answer>> {
    const keys = this.#byActor.get(actor) ?? new Map<string, Kept<Answer>>()
    put(this.#byActor, actor, keys, MOST_ACTORS)
    return keys
  }
}

/** The least recently put goes where there are too many. */
function put<Value>(map: Map<string, Value>, key: string, value: Value, most: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > most) map.delete(map.keys().next().value as string)
}

/** The key of a request; undefined where it has none. */
export function readIdempotencyKey(field: string | string[] | undefined): string | undefined | Refusal {
  if (field === undefined) return undefined
  if (typeof field === 'string' && /^[\x21-\x7e]{1,200}$/.test(field)) return field
  return new Refusal('bad-request', 'Idempotency-Key must be 1 to 200 visible characters, such as a UUID')
}
