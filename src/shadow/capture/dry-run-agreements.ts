// Whether a service has agreed to handle copies as dry runs. No request that changes something is copied before that.
//
// The handshake: OPTIONS /.well-known/shadow with `X-Shadow: handshake`, answered with a 2xx and
// `X-Shadow-Accepted: dry-run`. Each copy then carries `X-Shadow: dry-run`, and each response repeats the agreement.
import { LruMap } from '../../lib/lru-map.ts'
import type { CopyRequest } from '../../model/shadow.ts'
import { firstField } from '../compare/first-field.ts'
import type { CopyClient } from '../worker/copy-client.ts'
import { acceptsDryRun, SHADOW_FIELD } from './copy-fields.ts'

const HANDSHAKE_PATH = '/.well-known/shadow'

/** How long an agreement is valid: a deployment may end it. */
const AGREEMENT_MS = 60_000
/** How long a refusal is valid. */
const REFUSAL_MS = 30_000
/** Addresses change with the config, and a preserved Host is chosen by clients. */
const MAX_SERVICES = 1000
const HANDSHAKE_LIMITS = { maxBodyBytes: 16 * 1024, timeoutMs: 2000 }

/** The result of the last handshake with one service. */
type Handshake = {
  readonly expiresAt: number
  readonly isAgreed: Promise<boolean>
  /** Aborted when the agreement ends. */
  readonly agreement: AbortController
}

type DryRunAgreementsOptions = {
  readonly client: Pick<CopyClient, 'send'>
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
}

export class DryRunAgreements {
  readonly #client: DryRunAgreementsOptions['client']
  readonly #now: () => number
  readonly #handshakes = new LruMap<string, Handshake>(MAX_SERVICES)

  constructor({ client, now }: DryRunAgreementsOptions) {
    this.#client = client
    this.#now = now
  }

  /**
   * Performs the handshake with the service of this copy, unless a recent one is still valid.
   *
   * @returns a signal that is aborted when the agreement ends; undefined without an agreement
   */
  async agreement(copy: CopyRequest): Promise<AbortSignal | undefined> {
    const key = serviceKey(copy)
    const last = this.#handshakes.get(key)
    const isValid = last !== undefined && last.expiresAt > this.#now()
    const { isAgreed, agreement } = isValid ? last : this.#startHandshake(key, copy, last?.agreement)
    return (await isAgreed) && !agreement.signal.aborted ? agreement.signal : undefined
  }

  /** The service answered a copy without the agreement: nothing is sent until the next successful handshake. */
  withdraw(copy: CopyRequest): void {
    const key = serviceKey(copy)
    const last = this.#handshakes.get(key)
    this.#handshakes.set(key, {
      expiresAt: this.#now() + REFUSAL_MS,
      isAgreed: Promise.resolve(false),
      agreement: new AbortController(),
    })
    // Copies that wait for a connection are not sent any more.
    last?.agreement.abort()
  }

  /** A renewed agreement keeps the signal of the previous one, so a withdrawal ends copies of both. */
  #startHandshake(key: string, copy: CopyRequest, previous: AbortController | undefined): Handshake {
    const agreement = previous === undefined || previous.signal.aborted ? new AbortController() : previous
    const handshake = { expiresAt: this.#now() + AGREEMENT_MS, isAgreed: this.#shakeHands(copy), agreement }
    this.#handshakes.set(key, handshake)
    void handshake.isAgreed.then((isAgreed) => {
      if (isAgreed) return
      agreement.abort()
      const isLast = this.#handshakes.get(key) === handshake
      if (isLast) this.#handshakes.set(key, { ...handshake, expiresAt: this.#now() + REFUSAL_MS })
    })
    return handshake
  }

  async #shakeHands(copy: CopyRequest): Promise<boolean> {
    const request = { ...copy, method: 'OPTIONS', path: HANDSHAKE_PATH }
    const fields = ['Host', hostOf(copy), SHADOW_FIELD, 'handshake']
    const result = await this.#client.send(request, fields, undefined, HANDSHAKE_LIMITS)
    if (result.kind !== 'answered') return false
    const { status, headers } = result.answer
    return Math.floor(status / 100) === 2 && acceptsDryRun(headers)
  }
}

/** Behind one address there may be a service for each host name. */
function serviceKey(copy: CopyRequest): string {
  return `${copy.origin} ${copy.servername} ${hostOf(copy)}`
}

function hostOf({ fields }: CopyRequest): string {
  return firstField(fields, 'host')
}
