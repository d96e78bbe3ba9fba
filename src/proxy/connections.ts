// The connections to one address: reused last-in first-out, bounded, with a bounded queue in front.
import type { Socket } from 'node:net'
import { buildConnector, Client } from 'undici'
import type { Upstream } from '../model/route.ts'

/** Who wants a connection. While it waits it stands in the queue; `isWaiting` false means it has left. */
export type Waiter = {
  isWaiting: boolean
  readonly onConnection: (client: Client) => void
}

/** How long before the upstream would close an idle connection we stop using it, in milliseconds. */
const KEEP_ALIVE_MARGIN_MS = 1000
const MAX_RESPONSE_HEADER_BYTES = 64 * 1024
/** Waiters who have left and are still in the queue, before it is worth a walk. */
const MOST_STALE = 512

/** One undici `Client` is one connection that reopens by itself; each carries one request at a time. */
export class Connections {
  readonly #url: string
  readonly #options: Client.Options
  readonly #servername: string
  readonly #limit: number
  readonly #queueLimit: number
  readonly #openSocket: buildConnector.connector
  readonly #idle: Client[] = []
  /** Sockets that are not connected yet. */
  readonly #connecting = new Map<Client, Socket>()
  readonly #sockets = new WeakMap<Client, Socket>()
  /** Those who wait, and among them some who have left and are passed over. */
  #queue: Waiter[] = []
  #queueHead = 0
  #waiting = 0
  #open = 0
  #isRetired = false

  /** @param servername what TLS is asked for, as `Address.servername` says */
  constructor(url: string, servername: string, upstream: Upstream) {
    this.#servername = servername
    this.#url = url
    this.#limit = upstream.connections
    this.#queueLimit = upstream.queue
    const { rejectUnauthorized = true, ...certificates } = upstream.tls ?? {}
    this.#options = {
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: MAX_RESPONSE_HEADER_BYTES,
      // undici's clock has steps of half a second: the exchange keeps the time itself.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: upstream.keepAliveMs,
      keepAliveMaxTimeout: upstream.keepAliveMs,
      keepAliveTimeoutThreshold: KEEP_ALIVE_MARGIN_MS,
    }
    this.#openSocket = buildConnector({ allowH2: false, timeout: 0, rejectUnauthorized, ...certificates })
  }

  get inUse(): number {
    return this.#open - this.#idle.length
  }

  get open(): number {
    return this.#open
  }

  get waiting(): number {
    return this.#waiting
  }

  /** A connection at once, or `'queued'` (the waiter will be called), or `'full'`. */
  take(waiter: Waiter): Client | 'queued' | 'full' {
    const idle = this.#idle.pop()
    if (idle !== undefined) return idle
    if (this.#open < this.#limit) return this.#connect()
    if (this.#waiting >= this.#queueLimit) return 'full'
    waiter.isWaiting = true
    this.#waiting++
    this.#queue.push(waiter)
    if (this.#queue.length > 2 * (this.#queueLimit + MOST_STALE)) this.#forgetThoseWhoLeft()
    return 'queued'
  }

  /** The waiter waits no longer: its time is up, or its client has gone. */
  leave(waiter: Waiter): void {
    if (!waiter.isWaiting) return
    waiter.isWaiting = false
    this.#waiting--
  }

  /** Gives a connection back: to the next in the queue, or to the idle ones. One that was given up is made anew. */
  release(client: Client): void {
    const next = this.#nextWaiter()
    if (client.destroyed) {
      this.#open--
      next?.onConnection(this.#connect())
    } else if (next !== undefined) {
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

  /** Whether the connection broke: undici takes a reset for the end of a body that ends with its connection. */
  isBroken(client: Client): boolean {
    return Boolean(this.#sockets.get(client)?.errored)
  }

  /** Ends an attempt to connect; whoever waits for it is told the error, and releases the connection as ever. */
  giveUp(client: Client, error: Error): void {
    void client.destroy(error).catch(ignore)
    this.#connecting.get(client)?.destroy()
    this.#connecting.delete(client)
  }

  /** The configuration moved on: idle connections close now, the others when their request is done. */
  retire(): void {
    this.#isRetired = true
    for (const client of this.#idle.splice(0)) this.#close(client)
  }

  #connect(): Client {
    this.#open++
    const client: Client = new Client(this.#url, {
      ...this.#options,
      connect: (at, callback) => {
        const done: buildConnector.Callback = (...result) => {
          this.#connecting.delete(client)
          const [, socket] = result
          if (socket !== null) this.#sockets.set(client, socket)
          callback(...result)
        }
        this.#connecting.set(
          client,
          this.#openSocket({ ...at, servername: this.#servername }, done) as unknown as Socket,
        )
      },
    })
    return client
  }

  #close(client: Client): void {
    this.#open--
    void client.destroy().catch(ignore)
  }

  #forgetThoseWhoLeft(): void {
    this.#queue = this.#queue.slice(this.#queueHead).filter(({ isWaiting }) => isWaiting)
    this.#queueHead = 0
  }

  #nextWaiter(): Waiter | undefined {
    while (this.#queueHead < this.#queue.length) {
      const waiter = this.#queue[this.#queueHead++] as Waiter
      if (this.#queueHead > 1024) {
        this.#queue = this.#queue.slice(this.#queueHead)
        this.#queueHead = 0
      }
      if (!waiter.isWaiting) continue
      this.leave(waiter)
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
