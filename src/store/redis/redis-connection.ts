// The connections to Redis: one for commands and one for the subscription. Both reconnect without limit.
import type { ConnectionOptions } from 'node:tls'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { rejectAfter } from '../../lib/timeout.ts'
import type { HostAndPort, RedisAddress } from './redis-url.ts'
import { NEWS } from './scripts.ts'

export type RedisConnectionOptions = {
  readonly address: RedisAddress
  readonly prefix: string
  /** The limit of a command in milliseconds, connecting included. */
  readonly limitMs: number
  /** Additional TLS options, such as a private certificate authority. */
  readonly tls: ConnectionOptions | undefined
  /** A connection is ready, for the first time or again: messages may have been missed. */
  readonly onReady: () => void
  /** Receives the messages of the channel. */
  readonly onMessage: (message: string) => void
}

/** The server to connect to. `replyMapping` is left out: the types of ioredis require its exact value. */
type ServerOptions = Omit<RedisOptions, 'replyMapping'>

/** The pause before a reconnect, in milliseconds: short, since Redis returns within seconds and gateways are few. */
const RETRY_MS = { first: 50, max: 500 } as const

export class RedisConnection {
  readonly #options: RedisConnectionOptions
  readonly #commands: Redis | Cluster
  #subscriber: Redis | undefined
  #subscribeTimer: NodeJS.Timeout | undefined
  #reconnectTimer: NodeJS.Timeout | undefined
  #isClosed = false
  #lastError: Error | undefined

  constructor(options: RedisConnectionOptions) {
    this.#options = options
    this.#commands = this.#connect()
    this.#commands.on('error', (error: Error) => this.#keepError(error))
    this.#commands.on('ready', () => {
      this.#lastError = undefined
      options.onReady()
    })
    // @NOTE ioredis gives up for good if a Sentinel names another master while ioredis queries it for the master.
    this.#commands.on('end', () => this.#reconnect())
    this.#subscribe()
  }

  /** The error that closed the connection, which says more than that there is no connection. Undefined if it is not known. */
  get lastError(): Error | undefined {
    return this.#lastError
  }

  get isReady(): boolean {
    return this.#commands.status === 'ready'
  }

  /**
   * Runs a script. If the limit is reached, Redis may still run a script that was sent.
   *
   * @param keys without the prefix
   * @param limitMs milliseconds
   * @throws {Error} at the limit, or the error of Redis or of the connection
   */
  async run(script: string, keys: readonly string[], args: readonly string[], limitMs: number): Promise<unknown> {
    return rejectAfter(limitMs, this.#commands.eval(script, keys.length, ...keys.map(this.#fullKey), ...args))
  }

  /** @returns whether the connection is ready now or within `limitMs` milliseconds */
  waitUntilReady(limitMs: number): Promise<boolean> {
    if (this.isReady || limitMs <= 0) return Promise.resolve(this.isReady)
    return new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer)
        this.#commands.off('ready', settle)
        resolve(this.isReady)
      }
      const timer = setTimeout(settle, limitMs)
      this.#commands.once('ready', settle)
    })
  }

  /** Detects a dead subscriber connection: without a reply in time it is closed and opened again. */
  async pingSubscriber(): Promise<void> {
    await this.#subscriber?.ping().catch(() => {})
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#subscribeTimer)
    clearTimeout(this.#reconnectTimer)
    this.#commands.disconnect()
    this.#subscriber?.disconnect()
  }

  /** All keys have one hash tag, so that a Cluster stores them on one node. */
  readonly #fullKey = (name: string): string => `{${this.#options.prefix}}:${name}`

  #connect(): Redis | Cluster {
    const { address, limitMs } = this.#options
    if (address.kind === 'cluster') {
      return new Cluster([...address.nodes], {
        clusterRetryStrategy: retryPauseMs,
        clusterNodeRetryStrategy: retryPauseMs,
        enableOfflineQueue: false,
        slotsRefreshTimeout: limitMs,
        slotsRefreshInterval: 5000,
        redisOptions: this.#redisOptions(),
      })
    }
    return new Redis({ ...this.#redisOptions(), ...this.#target(address), enableOfflineQueue: false })
  }

  #reconnect(): void {
    if (this.#isClosed) return
    // A failure is reported by the 'error' event and followed by another 'end'.
    this.#reconnectTimer = setTimeout(() => void this.#commands.connect().catch(() => {}), RETRY_MS.first)
  }

  /** A connection of its own, so that no command delays a message. */
  #subscribe(): void {
    if (this.#isClosed) return
    const target = this.#subscriberTarget()
    if (target === undefined) {
      this.#subscribeLater()
      return
    }
    const subscriber = new Redis({ ...this.#redisOptions(), ...target })
    this.#subscriber = subscriber
    subscriber.on('error', (error: Error) => this.#keepError(error))
    subscriber.on('message', (_channel: string, message: string) => this.#options.onMessage(message))
    subscriber.on('end', () => this.#subscribeLater())
    subscriber.on('ready', () => {
      // Messages before this subscription, or during the interruption before it, were missed.
      subscriber.subscribe(this.#fullKey(NEWS)).then(this.#options.onReady, (error: Error) => {
        // Redis refuses a user without the right to the channel again at once: `#subscribeLater` waits first.
        subscriber.disconnect(error.name !== 'ReplyError')
      })
    })
  }

  #subscribeLater(): void {
    if (this.#isClosed) return
    clearTimeout(this.#subscribeTimer)
    this.#subscribeTimer = setTimeout(() => this.#subscribe(), RETRY_MS.max)
  }

  /** Any node of a Cluster, since each node receives all messages; after a failure perhaps another node. */
  #subscriberTarget(): ServerOptions | undefined {
    const { address } = this.#options
    if (address.kind !== 'cluster') return this.#target(address)
    const nodes = (this.#commands as Cluster).nodes().map(({ options: { host, port } }) => ({ host, port }))
    const node = nodes[Math.floor(Math.random() * nodes.length)]
    if (node?.host === undefined || node.port === undefined) return undefined
    return { host: node.host, port: node.port, retryStrategy: () => null }
  }

  #target(address: Exclude<RedisAddress, { kind: 'cluster' }>): ServerOptions {
    if (address.kind === 'single') return { ...copyHost(address.node), db: address.db }
    const { limitMs } = this.#options
    const tls = this.#tlsOptions()
    return {
      sentinels: address.sentinels.map(copyHost),
      name: address.master,
      db: address.db,
      ...(address.sentinelUsername === undefined ? {} : { sentinelUsername: address.sentinelUsername }),
      ...(address.sentinelPassword === undefined ? {} : { sentinelPassword: address.sentinelPassword }),
      sentinelRetryStrategy: retryPauseMs,
      sentinelReconnectStrategy: retryPauseMs,
      sentinelCommandTimeout: limitMs,
      // The Sentinels announce a new master before the connection to the old one breaks.
      failoverDetector: true,
      ...(tls === undefined ? {} : { sentinelTLS: tls, enableTLSForSentinelMode: true }),
    }
  }

  #redisOptions() {
    const { address, limitMs } = this.#options
    const tls = this.#tlsOptions()
    return {
      ...(address.username === undefined ? {} : { username: address.username }),
      ...(address.password === undefined ? {} : { password: address.password }),
      ...(tls === undefined ? {} : { tls }),
      connectionName: 'strangler-gateway',
      connectTimeout: limitMs,
      // A frozen Redis never closes its connections: a connection without a reply in time is closed here.
      socketTimeout: limitMs,
      disconnectTimeout: limitMs,
      keepAlive: 5000,
      retryStrategy: retryPauseMs,
      // The store decides whether a command without a reply may be sent again.
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      // The master has become a replica.
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
    } satisfies RedisOptions
  }

  #tlsOptions(): ConnectionOptions | undefined {
    return this.#options.address.isTls ? { ...this.#options.tls } : undefined
  }

  #keepError(error: Error): void {
    // A Cluster reports that all nodes failed; the error of a node contains the reason.
    this.#lastError = (error as ClusterError).lastNodeError ?? error
  }
}

type ClusterError = Error & { readonly lastNodeError?: Error }

function copyHost({ host, port }: HostAndPort): HostAndPort {
  return { host, port }
}

function retryPauseMs(attempt: number): number {
  return Math.min(RETRY_MS.first * 2 ** Math.min(attempt, 10), RETRY_MS.max)
}
