// Signature checks of unknown tokens take turns. A check blocks the thread that forwards requests for up to two
// milliseconds, and anybody can make up tokens. During a flood a valid token waits for its turn; it is not rejected.
import { networkOf } from '../http/network-map.ts'
import { ApiRefusal, retryAfter } from '../http/problem.ts'

/** The most checks in an interval, and the time in milliseconds after which no further check starts in it. */
export const PACE = { checks: 10, checkMs: 2, everyMs: 10 } as const
/** The most callers that wait, of all networks: as many as the admin port accepts requests. */
const MOST_WAITING = 512

type Waiting = {
  readonly isGone: () => boolean
  readonly check: () => void
  readonly refuse: (refusal: ApiRefusal) => void
}

export class SignatureTurns {
  /** Queues by network, in the order of service. A queue is never empty. */
  readonly #queues = new Map<string, Waiting[]>()
  #size = 0
  #isPaused = false

  /**
   * Calls `check` at the caller's turn. Networks take turns; the callers of a network are served in order of arrival.
   *
   * @param isGone whether the caller has disconnected; its check is then skipped
   * @returns the result of `check`; a refusal if the caller has disconnected, or if too many callers wait and its network
   *   has the longest queue
   */
  take<Result>(address: string, isGone: () => boolean, check: () => Result): Promise<Result | ApiRefusal> {
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

  /** The number of callers that wait. */
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

  /** The oldest caller of the next network, which then moves to the end. */
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
      const remaining = queue.filter((waiting) => !gone.includes(waiting))
      for (const waiting of gone) this.#release(waiting)
      if (remaining.length > 0) this.#queues.set(network, remaining)
      else this.#queues.delete(network)
    }
  }

  #release({ refuse }: Waiting): void {
    this.#size--
    refuse(new ApiRefusal('bad-request', 'the connection was closed'))
  }

  /** Refuses a caller of the network with the longest queue, so that a flood displaces its own callers. */
  #refuseOldest(): void {
    const [longest] = [...this.#queues.values()].sort((a, b) => b.length - a.length)
    const oldest = longest?.shift()
    if (oldest === undefined) return
    this.#size--
    const why = 'too many tokens of this network wait for their signature check'
    oldest.refuse(new ApiRefusal('too-many-failures', undefined, { why, ...retryAfter(1) }))
  }
}
