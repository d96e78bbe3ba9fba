// The connections to one address: limited, reused last in first out, with a limited queue of waiting requests.
import type { Upstream } from '../../model/route.ts'
import { Connection, type Destination } from './connection.ts'

/** A request that wants a connection. The pool sets `isWaiting` while the request is in the queue. */
export type Waiter = {
  isWaiting: boolean
  readonly onConnection: (connection: Connection) => void
}

/** The pool stops using an idle connection this time before the upstream would close it, in milliseconds. */
const KEEP_ALIVE_MARGIN_MS = 1000
/** How often the pool closes connections that have been idle for too long, in milliseconds. */
const SWEEP_MS = 1000
/** Waiters that have left stay in the queue until there are this many more than its limit. */
const MAX_DEPARTED_WAITERS = 512

/** Each connection carries one request at a time. */
export class ConnectionPool {
  readonly #destination: Destination
  readonly #now: () => number
  readonly #limit: number
  readonly #queueLimit: number
  readonly #keepAliveMs: number
  /** Last in, first out: connections that are not needed expire at the bottom. */
  readonly #idle: Connection[] = []
  #sweep: NodeJS.Timeout | undefined = undefined
  /** Waiters in order. Some have left already and are skipped. */
  #queue: Waiter[] = []
  #queueHead = 0
  #waiting = 0
  #open = 0
  #uploads = 0
  #slowReaders = 0
  /** Slow readers that were evicted and have not released their connection yet. */
  #evicting = 0
  #isRetired = false

  /**
   * @param servername as `Address.servername`
   * @param now milliseconds of a clock that never goes back
   */
  constructor(url: string, servername: string, upstream: Upstream, now: () => number) {
    const { protocol, hostname, port } = new URL(url)
    const isTls = protocol === 'https:'
    const { rejectUnauthorized = true, ...certificates } = upstream.tls ?? {}
    this.#destination = {
      isTls,
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? (isTls ? 443 : 80) : Number(port),
      servername,
      tls: { rejectUnauthorized, ...certificates },
      bareLineFeeds: upstream.bareLineFeeds,
      session: undefined,
    }
    this.#now = now
    this.#limit = upstream.connections
    this.#queueLimit = upstream.queue
    this.#keepAliveMs = upstream.keepAliveMs
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

  /**
   * Takes a place for a request whose body is still arriving. Such requests use at most half of the connections, so
   * that slow clients leave the other half to complete requests.
   *
   * @returns false when all places are taken; the caller returns each place with `endUpload`
   */
  beginUpload(): boolean {
    if (this.#uploads >= this.#half) return false
    this.#uploads++
    return true
  }

  endUpload(): void {
    this.#uploads--
  }

  /** Counts a connection whose response its client does not read; the caller returns each with `endSlowReader`. */
  beginSlowReader(): void {
    this.#slowReaders++
  }

  endSlowReader(): void {
    this.#slowReaders--
  }

  /**
   * Whether a slow reader must give its connection to a request that waits for one: slow readers hold more than half of
   * the connections. The caller then ends the slow reader, which releases the connection.
   */
  mustEvictSlowReader(): boolean {
    if (this.#slowReaders <= this.#half || this.#waiting <= this.#evicting) return false
    this.#evicting++
    return true
  }

  get #half(): number {
    return Math.max(1, Math.floor(this.#limit / 2))
  }

  /** @returns a connection, or `'queued'` (the pool calls the waiter later), or `'full'` */
  take(waiter: Waiter): Connection | 'queued' | 'full' {
    const idle = this.#takeIdle()
    if (idle !== undefined) return idle
    if (this.#open < this.#limit) return this.#connect()
    if (this.#waiting >= this.#queueLimit) return 'full'
    waiter.isWaiting = true
    this.#waiting++
    this.#queue.push(waiter)
    if (this.#queue.length > 2 * (this.#queueLimit + MAX_DEPARTED_WAITERS)) this.#compactQueue()
    return 'queued'
  }

  /** Removes a waiter whose time is up or whose client has gone. */
  leave(waiter: Waiter): void {
    if (!waiter.isWaiting) return
    waiter.isWaiting = false
    this.#waiting--
  }

  /** Gives a connection back. The next waiter gets it, or a new one if it is closed; without a waiter it becomes idle. */
  release(connection: Connection): void {
    if (this.#evicting > 0) this.#evicting--
    const next = this.#nextWaiter()
    if (connection.isDone) {
      this.#open--
      next?.onConnection(this.#connect())
    } else if (next !== undefined) {
      next.onConnection(connection)
    } else if (this.#isRetired) {
      this.#close(connection)
    } else {
      this.#keepIdle(connection)
    }
  }

  /** @returns a new connection in the place of one that failed: a retry must not get another stale one */
  replace(connection: Connection): Connection {
    this.#close(connection)
    return this.#connect()
  }

  /** The address is no longer configured: idle connections close now, the others when their request is complete. */
  retire(): void {
    this.#isRetired = true
    clearInterval(this.#sweep)
    for (const connection of this.#idle.splice(0)) this.#close(connection)
  }

  #connect(): Connection {
    this.#open++
    return new Connection(this.#destination, this.#onIdleClose)
  }

  #close(connection: Connection): void {
    this.#open--
    connection.close()
  }

  /** @returns the connection that was used last: the upstream is least likely to close it at this moment */
  #takeIdle(): Connection | undefined {
    const now = this.#now()
    for (;;) {
      const connection = this.#idle.pop()
      if (connection === undefined || connection.idleUntil > now) return connection
      this.#close(connection)
    }
  }

  #keepIdle(connection: Connection): void {
    const { keepAliveHint } = connection
    const hintMs = keepAliveHint === undefined ? this.#keepAliveMs : keepAliveHint * 1000 - KEEP_ALIVE_MARGIN_MS
    if (hintMs <= 0) {
      this.#close(connection)
      return
    }
    connection.idleUntil = this.#now() + Math.min(hintMs, this.#keepAliveMs)
    this.#idle.push(connection)
    if (this.#sweep === undefined) {
      this.#sweep = setInterval(() => this.#closeExpired(), SWEEP_MS)
      this.#sweep.unref()
    }
  }

  #closeExpired(): void {
    const now = this.#now()
    const expired = this.#idle.filter(({ idleUntil }) => idleUntil <= now)
    for (const connection of expired) {
      this.#idle.splice(this.#idle.indexOf(connection), 1)
      this.#close(connection)
    }
    if (this.#idle.length > 0) return
    clearInterval(this.#sweep)
    this.#sweep = undefined
  }

  /** The upstream has closed an idle connection. */
  readonly #onIdleClose = (connection: Connection): void => {
    const index = this.#idle.lastIndexOf(connection)
    if (index === -1) return
    this.#idle.splice(index, 1)
    this.#open--
  }

  #compactQueue(): void {
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
