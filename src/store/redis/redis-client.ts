// Runs scripts in Redis within a time limit, and follows whether Redis can be used.
import { sleep } from '../../lib/timeout.ts'
import type { Clock } from '../../model/ports.ts'
import { type StoreStatus, StoreUnavailable } from '../../model/state-store.ts'
import { Outage } from '../outage.ts'
import type { StoreEvents } from '../store-events.ts'
import { explainRefusal } from './explain-refusal.ts'
import { RedisConnection, type RedisConnectionOptions } from './redis-connection.ts'
import { KEYS, LOOK, READS } from './scripts.ts'

type RedisClientOptions = {
  readonly connection: RedisConnectionOptions
  readonly clock: Clock
  readonly events: StoreEvents
}

export type ScriptOptions = {
  /** The monotonic time at which the caller stops waiting; after the limit of the store if not given. */
  readonly giveUpAt?: number | undefined
  /** Names of the keys that the script uses, without the prefix. */
  readonly keys?: readonly string[] | undefined
}

/** The pause before a command is sent again that ioredis could not send. */
const NOT_SENT_RETRY_MS = 20

type Cause = 'connection' | 'state' | 'writing'

/** There is no connection, the connection broke, or no reply arrived in time. */
export class NoReply extends StoreUnavailable {
  /** Whether the command was sent: Redis may have run it, or may still run it. */
  readonly wasSent: boolean

  constructor(reason: string, wasSent: boolean) {
    super(reason, undefined)
    this.wasSent = wasSent
  }
}

export class RedisClient {
  readonly #options: RedisClientOptions
  readonly #outage: Outage<Cause>
  #connection: RedisConnection | undefined
  #lastReplyAt = 0
  #isClosed = false

  constructor(options: RedisClientOptions) {
    this.#options = options
    this.#outage = new Outage(options.clock, options.events)
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** The URL without credentials. */
  get location(): string {
    return this.#options.connection.address.shown
  }

  /** Opens the connections, if they are not open. A client that is never used opens none. */
  open(): RedisConnection {
    if (this.#connection !== undefined) return this.#connection
    this.#connection = new RedisConnection(this.#options.connection)
    this.#lastReplyAt = this.#options.clock.now()
    return this.#connection
  }

  /**
   * Runs a script and returns its reply.
   *
   * @throws {NoReply} if no reply arrived in time
   * @throws {StoreUnavailable} if the client is closed, or Redis refused: read-only, full, or without the rights
   */
  async run(script: string, args: readonly string[], { giveUpAt, keys = KEYS }: ScriptOptions = {}): Promise<unknown> {
    if (this.#isClosed) throw new StoreUnavailable('the store is closed', undefined)
    const { clock } = this.#options
    const connection = this.open()
    const limit = giveUpAt ?? this.giveUpTime()
    for (;;) {
      await this.#waitForConnection(connection, limit)
      const leftMs = limit - clock.now()
      try {
        const reply = await connection.run(script, keys, args, Math.max(1, leftMs))
        this.#lastReplyAt = clock.now()
        this.#outage.end('connection')
        if (!READS.has(script)) this.#outage.end('writing')
        return reply
      } catch (error) {
        if (isReply(error)) throw this.#refused(script, error)
        const wasSent = !isNotSent(error)
        if (wasSent || leftMs <= NOT_SENT_RETRY_MS) throw this.#unreachable(connection, error, wasSent)
        await sleep(NOT_SENT_RETRY_MS)
      }
    }
  }

  /** The monotonic time at which a command that is sent now has reached the limit of the store. */
  giveUpTime(): number {
    return this.#options.clock.now() + this.#options.connection.limitMs
  }

  /** @param reason why the state in Redis cannot be read; undefined if it can */
  setStateError(reason: string | undefined): void {
    if (reason === undefined) this.#outage.end('state')
    else this.#outage.begin('state', reason)
  }

  /** Detects a dead subscriber connection, which is then opened again. */
  async checkSubscriber(): Promise<void> {
    await this.#connection?.pingSubscriber()
  }

  status(): StoreStatus {
    this.open()
    const { reason, durationMs } = this.#outage
    const isConnected = reason === undefined
    return { kind: 'redis', location: this.location, isConnected, cutOffMs: durationMs, trouble: reason }
  }

  close(): void {
    this.#isClosed = true
    this.#connection?.close()
  }

  /** During an outage that is longer than the limit, commands fail at once instead of waiting for the connection. */
  async #waitForConnection(connection: RedisConnection, giveUpAt: number): Promise<void> {
    if (connection.isReady) return
    const now = this.#options.clock.now()
    const { limitMs } = this.#options.connection
    const isKnownOutage = this.#outage.has('connection') && now - this.#lastReplyAt > limitMs
    if (await connection.waitUntilReady(isKnownOutage ? 0 : giveUpAt - now)) return
    throw this.#unreachable(connection, new Error('no connection'), false)
  }

  // An error of ioredis contains the command with its arguments, and so the password: only its message is passed on.

  #refused(script: string, error: Error): StoreUnavailable {
    const reason = this.#explain(error.message) ?? `Redis at ${this.location} refuses: ${error.message}`
    if (script === LOOK) this.#outage.begin('state', reason)
    if (!READS.has(script)) this.#outage.begin('writing', reason)
    return new StoreUnavailable(reason, undefined)
  }

  #unreachable(connection: RedisConnection, error: unknown, wasSent: boolean): NoReply {
    const message = connection.lastError?.message ?? (error instanceof Error ? error.message : String(error))
    const reason = this.#explain(message) ?? `Redis at ${this.location} cannot be reached: ${message}`
    // The connection broke after the last reply, which is earlier than its detection.
    this.#outage.begin('connection', reason, this.#lastReplyAt)
    return new NoReply(reason, wasSent)
  }

  #explain(message: string): string | undefined {
    return explainRefusal(message, this.location, this.#options.connection.prefix)
  }
}

/** Whether Redis replied with an error. */
function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}

/** The connection is closing, but its status does not show it yet: ioredis reports this by its message only. */
function isNotSent(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("Stream isn't writeable")
}
