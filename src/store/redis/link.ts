// The connections to Redis: one that asks, and one that listens. Both come back by themselves, for good.
import type { ConnectionOptions } from 'node:tls'
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { rejectAfter } from '../../lib/timeout.ts'
import type { HostAndPort, RedisAddress } from './redis-url.ts'
import { NEWS } from './scripts.ts'

export type LinkOptions = {
  readonly address: RedisAddress
  readonly prefix: string
  /** What any question may take, connecting included. */
  readonly limitMs: number
  /** Beside what the URL says, such as an authority of one's own. */
  readonly tls: ConnectionOptions | undefined
  /** The asking connection stands again, or the listening one does: something may have been missed. */
  readonly onReady: () => void
  readonly onNews: (message: string) => void
}

/** Where a connection goes. The mapping of replies stays as it is, which the types of ioredis want to know for certain. */
type Place = Omit<RedisOptions, 'replyMapping'>

/** The pause before connecting again, in milliseconds: short, since Redis comes back in seconds and gateways are few. */
const RETRY_MS = { first: 50, most: 500 } as const

export class Link {
  private readonly options: LinkOptions
  private readonly commands: Redis | Cluster
  private listening: Redis | undefined
  private relisten: NodeJS.Timeout | undefined
  private reconnect: NodeJS.Timeout | undefined
  private isClosed = false
  /** What the connection said when it broke: better than that it is not there. */
  private lastError: Error | undefined

  constructor(options: LinkOptions) {
    this.options = options
    this.commands = this.connect()
    this.commands.on('error', (error: Error) => this.noticed(error))
    this.commands.on('ready', () => {
      this.lastError = undefined
      options.onReady()
    })
    // @NOTE ioredis gives up for good if a Sentinel names another master just while it is being asked for the master.
    this.commands.on('end', () => this.connectAgain())
    this.listen()
  }

  /** Why the connection is not there, as far as it is known. */
  get trouble(): Error | undefined {
    return this.lastError
  }

  get isReady(): boolean {
    return this.commands.status === 'ready'
  }

  /**
   * Runs a script. Rejects at the latest when the limit is up; what was sent until then may still arrive.
   *
   * @param names of the keys that it is about, without the prefix
   */
  async run(script: string, names: readonly string[], args: readonly string[], limitMs: number): Promise<unknown> {
    return rejectAfter(limitMs, this.commands.eval(script, names.length, ...names.map(this.keyOf), ...args))
  }

  /** Whether the connection stands now, or does within so many milliseconds. */
  whenReady(limitMs: number): Promise<boolean> {
    if (this.isReady || limitMs <= 0) return Promise.resolve(this.isReady)
    return new Promise((resolve) => {
      const settle = () => {
        clearTimeout(timer)
        this.commands.off('ready', settle)
        resolve(this.isReady)
      }
      const timer = setTimeout(settle, limitMs)
      this.commands.once('ready', settle)
    })
  }

  /** Has the listening connection prove that it lives; it is cut, and made anew, if it does not answer. */
  async proveListening(): Promise<void> {
    await this.listening?.ping().catch(() => {})
  }

  close(): void {
    this.isClosed = true
    clearTimeout(this.relisten)
    clearTimeout(this.reconnect)
    this.commands.disconnect()
    this.listening?.disconnect()
  }

  /** Under one hash tag, so that a Cluster keeps all of it on one node. */
  private readonly keyOf = (name: string): string => `{${this.options.prefix}}:${name}`

  private connect(): Redis | Cluster {
    const { address } = this.options
    if (address.kind === 'cluster') {
      return new Cluster([...address.nodes], {
        clusterRetryStrategy: pauseMs,
        clusterNodeRetryStrategy: pauseMs,
        enableOfflineQueue: false,
        slotsRefreshTimeout: this.options.limitMs,
        slotsRefreshInterval: 5000,
        redisOptions: this.redisOptions(),
      })
    }
    return new Redis({ ...this.redisOptions(), ...this.place(address), enableOfflineQueue: false })
  }

  private connectAgain(): void {
    if (this.isClosed) return
    // What fails here ends again, and has told its error.
    this.reconnect = setTimeout(() => void this.commands.connect().catch(() => {}), RETRY_MS.first)
  }

  /** A listening connection of its own, in which nothing is asked that could hold up news. */
  private listen(): void {
    if (this.isClosed) return
    const place = this.placeToListen()
    if (place === undefined) {
      this.listenAgain()
      return
    }
    const listening = new Redis({ ...this.redisOptions(), ...place })
    this.listening = listening
    listening.on('error', (error: Error) => this.noticed(error))
    listening.on('message', (_channel: string, message: string) => this.options.onNews(message))
    listening.on('end', () => this.listenAgain())
    listening.on('ready', () => {
      // Before the first, the subscription was not there; before the others, it was not for a while.
      listening.subscribe(this.keyOf(NEWS)).then(this.options.onReady, (error: Error) => {
        // A user without the right to the channel would be refused again at once: the pause of `listenAgain` comes first.
        listening.disconnect(error.name !== 'ReplyError')
      })
    })
  }

  private listenAgain(): void {
    if (this.isClosed) return
    clearTimeout(this.relisten)
    this.relisten = setTimeout(() => this.listen(), RETRY_MS.most)
  }

  /** Any node of a Cluster will do, since all of them are told all news; another one when it is gone. */
  private placeToListen(): Place | undefined {
    const { address } = this.options
    if (address.kind !== 'cluster') return this.place(address)
    const known = (this.commands as Cluster).nodes().map(({ options: { host, port } }) => ({ host, port }))
    const node = known[Math.floor(Math.random() * known.length)]
    if (node?.host === undefined || node.port === undefined) return undefined
    return { host: node.host, port: node.port, retryStrategy: () => null }
  }

  private place(address: Exclude<RedisAddress, { kind: 'cluster' }>): Place {
    if (address.kind === 'single') return { ...hostOf(address.node), db: address.db }
    const { limitMs } = this.options
    const tls = this.tlsOptions()
    return {
      sentinels: address.sentinels.map(hostOf),
      name: address.master,
      db: address.db,
      ...(address.sentinelUsername === undefined ? {} : { sentinelUsername: address.sentinelUsername }),
      ...(address.sentinelPassword === undefined ? {} : { sentinelPassword: address.sentinelPassword }),
      sentinelRetryStrategy: pauseMs,
      sentinelReconnectStrategy: pauseMs,
      sentinelCommandTimeout: limitMs,
      // A master that changed is told by the Sentinels, before its connection breaks.
      failoverDetector: true,
      ...(tls === undefined ? {} : { sentinelTLS: tls, enableTLSForSentinelMode: true }),
    }
  }

  private redisOptions() {
    const { address, limitMs } = this.options
    const tls = this.tlsOptions()
    return {
      ...(address.username === undefined ? {} : { username: address.username }),
      ...(address.password === undefined ? {} : { password: address.password }),
      ...(tls === undefined ? {} : { tls }),
      connectionName: 'strangler-gateway',
      connectTimeout: limitMs,
      // A frozen Redis never closes its connections: what does not answer in time is cut here.
      socketTimeout: limitMs,
      disconnectTimeout: limitMs,
      keepAlive: 5000,
      retryStrategy: pauseMs,
      // What was sent and not answered is ours to send again, if it may be.
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      // A master that became a replica.
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
    } satisfies RedisOptions
  }

  private tlsOptions(): ConnectionOptions | undefined {
    return this.options.address.isTls ? { ...this.options.tls } : undefined
  }

  private noticed(error: Error): void {
    // A Cluster reports that all nodes failed; the error of a node is the reason.
    this.lastError = (error as ClusterError).lastNodeError ?? error
  }
}

type ClusterError = Error & { readonly lastNodeError?: Error }

function hostOf({ host, port }: HostAndPort): HostAndPort {
  return { host, port }
}

function pauseMs(times: number): number {
  return Math.min(RETRY_MS.first * 2 ** Math.min(times, 10), RETRY_MS.most)
}
