// The connections to one address: reused last-in first-out, bounded, with a bounded queue in front.
import { Client } from 'undici'
import type { Upstream } from '../model/route.ts'

/** Who wants a connection. While it waits it stands in the queue; `isWaiting` false means it has left. */
export type Waiter = {
  isWaiting: boolean
  readonly onConnection: (client: Client) => void
}

/** How long before the upstream would close an idle connection we stop using it, in milliseconds. */
const KEEP_ALIVE_MARGIN_MS = 1000
const MAX_RESPONSE_HEADER_BYTES = 64 * 1024

/** One undici `Client` is one connection that reopens by itself; each carries one request at a time. */
export class Connections {
  readonly #url: string
  readonly #options: Client.Options
  readonly #limit: number
  readonly #queueLimit: number
  readonly #idle: Client[] = []
  #queue: Waiter[] = []
  #queueHead = 0
  #open = 0
  #isRetired = false

  constructor(url: string, upstream: Upstream) {
    this.#url = url
    this.#limit = upstream.connections
    this.#queueLimit = upstream.queue
    const { timeouts, tls } = upstream
    const { rejectUnauthorized = true, ...certificates } = tls ?? {}
    this.#options = {
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: MAX_RESPONSE_HEADER_BYTES,
      headersTimeout: timeouts.headersMs,
      bodyTimeout: timeouts.idleMs,
      keepAliveTimeout: upstream.keepAliveMs,
      keepAliveMaxTimeout: upstream.keepAliveMs,
      keepAliveTimeoutThreshold: KEEP_ALIVE_MARGIN_MS,
      connect: { timeout: timeouts.connectMs, rejectUnauthorized, ...certificates },
    }
  }

  get inUse(): number {
    return this.#open - this.#idle.length
  }

  get open(): number {
    return this.#open
  }

  get waiting(): number {
    return this.#queue.length - this.#queueHead
  }

  /** A connection at once, or `'queued'` (the waiter will be called), or `'full'`. */
  take(waiter: Waiter): Client | 'queued' | 'full' {
    const idle = this.#idle.pop()
    if (idle !== undefined) return idle
    if (this.#open < this.#limit) return this.#connect()
    if (this.waiting >= this.#queueLimit) return 'full'
    waiter.isWaiting = true
    this.#queue.push(waiter)
    return 'queued'
  }

  /** Gives a connection back: to the next in the queue, or to the idle ones. */
  release(client: Client): void {
    const next = this.#nextWaiter()
    if (next !== undefined) {
      next.onConnection(client)
    } else if (this.#isRetired) {
      this.#close(client)
    } else {
      this.#idle.push(client)
    }
  }

  /** A new connection in the place of one that failed: a retry must not meet another stale one. */
  replace(client: Client): Client {
    this.#close(client)
    return this.#connect()
  }

  /** The configuration moved on: idle connections close now, the others when their request is done. */
  retire(): void {
    this.#isRetired = true
    for (const client of this.#idle.splice(0)) this.#close(client)
  }

  #connect(): Client {
    this.#open++
    return new Client(this.#url, this.#options)
  }

  #close(client: Client): void {
    this.#open--
    void client.destroy().catch(ignore)
  }

  #nextWaiter(): Waiter | undefined {
    while (this.#queueHead < this.#queue.length) {
      const waiter = this.#queue[this.#queueHead++] as Waiter
      if (this.#queueHead > 1024) {
        this.#queue = this.#queue.slice(this.#queueHead)
        this.#queueHead = 0
      }
      if (!waiter.isWaiting) continue
      waiter.isWaiting = false
      return waiter
    }
    this.#queue = []
    this.#queueHead = 0
    return undefined
  }
}

function ignore(): void {
  // destroy() rejects only when it was called before; then there is nothing left to close.
}
