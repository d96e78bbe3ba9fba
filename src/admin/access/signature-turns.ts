// Signature checks of tokens that are not known take turns: a check occupies the thread that forwards requests for up to two
// milliseconds, and anybody can make up tokens. A flood makes a valid token wait for its turn; it does not keep the token out.
import { networkOf } from '../http/network-map.ts'
import { Refusal, retryAfter } from '../http/problem.ts'

/** In each interval at most this many checks, and no further one after they have taken this time. */
export const PACE = { checks: 10, checkMs: 2, everyMs: 10 } as const
/** Callers that wait for their turn, of all networks: as many as the admin port has requests. */
const MOST_WAITING = 512

type Waiting = {
  readonly isGone: () => boolean
  readonly check: () => void
  readonly refuse: (refusal: Refusal) => void
}

export class SignatureTurns {
  /** By network, in the order in which the networks are served. No queue is empty. */
  readonly #queues = new Map<string, Waiting[]>()
  #size = 0
  #isPaused = false

  /**
   * Calls `check` when it is the caller's turn: networks take turns one by one, the callers of a network in the order of their arrival.
   *
   * @param isGone whether the caller has left; a caller that has left costs no check
   * @returns the result of `check`; a refusal where the caller has left, or its network has the longest of too many waiting queues
   */
  take<Result>(address: string, isGone: () => boolean, check: () => Result): Promise<Result | Refusal> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        isGone,
        check: () => {
          try {
            resolve(check())
          } catch (error) {
            reject(error)
          }
        },
        refuse: resolve,
      }
      this.#add(networkOf(address), waiting)
      if (!this.#isPaused) this.#work()
    })
  }

  /** How many callers wait. */
  get size(): number {
    return this.#size
  }

  #add(network: string, waiting: Waiting): void {
    const queue = this.#queues.get(network)
    if (queue === undefined) this.#queues.set(network, [waiting])
    else queue.push(waiting)
    this.#size++
    if (this.#size > MOST_WAITING) this.#dropGone()
    if (this.#size > MOST_WAITING) this.#refuseOldest()
  }

  #work(): void {
    const begunAt = performance.now()
    let checks = 0
    while (checks < PACE.checks && performance.now() - begunAt < PACE.checkMs) {
      const next = this.#next()
      if (next === undefined) break
      next.check()
      checks++
    }
    this.#isPaused = checks > 0
    if (this.#isPaused) setTimeout(() => this.#work(), PACE.everyMs).unref()
  }

  /** The oldest caller of the network whose turn it is, which goes behind the others. */
  #next(): Waiting | undefined {
    for (const [network, queue] of this.#queues) {
      let next = queue.shift()
      while (next?.isGone()) {
        this.#release(next)
        next = queue.shift()
      }
      this.#queues.delete(network)
      if (next === undefined) continue
      if (queue.length > 0) this.#queues.set(network, queue)
      this.#size--
      return next
    }
    return undefined
  }

  #dropGone(): void {
    for (const [network, queue] of this.#queues) {
      const gone = queue.filter(({ isGone }) => isGone())
      if (gone.length === 0) continue
      const left = queue.filter((waiting) => !gone.includes(waiting))
      for (const waiting of gone) this.#release(waiting)
      if (left.length > 0) this.#queues.set(network, left)
      else this.#queues.delete(network)
    }
  }

  #release({ refuse }: Waiting): void {
    this.#size--
    refuse(new Refusal('bad-request', 'the connection was closed'))
  }

  /** Of the network that has most callers waiting, so that a flood displaces itself. */
  #refuseOldest(): void {
    const [longest] = [...this.#queues.values()].sort((one, other) => other.length - one.length)
    const oldest = longest?.shift()
    if (oldest === undefined) return
    this.#size--
    const why = 'too many tokens of this network wait for their signature check'
    oldest.refuse(new Refusal('too-many-failures', undefined, { why, ...retryAfter(1) }))
  }
}
