// The flags of Unleash: polled by unleash-client and kept on disk. No request waits for them.
import { join } from 'node:path'
import { UnleashEvents } from 'unleash-client'
import { singleFlight } from '../../../lib/single-flight.ts'
import { withTimeout } from '../../../lib/timeout.ts'
import type { Clock } from '../../../model/ports.ts'
import type { Events } from '../../../telemetry/events.ts'
import { Evaluator } from '../evaluator.ts'
import { FlagEngine } from '../flag-engine.ts'
import type { FlagStatus, Flags } from '../flags.ts'
import { withoutCredentials } from './admin-api.ts'
import { FlagBackup } from './flag-backup.ts'
import { NamedReads } from './named-reads.ts'
import { fetchFlag, fetchList, NotServed, type RefetchOptions } from './refetch.ts'
import {
  clientConfig,
  type FlagBackupOptions,
  longestPollMs,
  refetchTimeoutMs,
  type UnleashClientOptions,
} from './unleash-client-config.ts'

export type UnleashFlagsOptions = UnleashClientOptions &
  FlagBackupOptions & { readonly events: Events; readonly clock: Clock }

/** The start does not wait longer: a gateway with old flags, or without flags, is better than none. */
const START_LIMIT_MS = 2000
/** How long the end waits for the last usage counts, and for the last write of the backup. */
const STOP_LIMIT_MS = 500
/** An operator may wait for a refresh: its requests have a shorter limit than polls. */
const REFETCH_TIMEOUT_MS = 2000
/** unleash-client's message before it stops polling. If the message changes, the watchdog notices the silence. */
const STOPPED_POLLING = /responded (40[13])\b/
const ALL_FLAGS = Symbol('all flags')
/** Unleash builds the list that it serves once a second: after this time it contains a flag that was read by its name. */
const LIST_DELAY_MS = 1500
/** More flags are read with one request for the list. */
const MOST_BY_NAME = 10

export class UnleashFlags extends FlagEngine implements Flags {
  readonly #options: UnleashFlagsOptions
  readonly #location: string
  readonly #longestPollMs: number
  readonly #refetching: RefetchOptions
  readonly #backup: FlagBackup
  readonly #namedReads = new NamedReads()
  readonly #refetch = singleFlight((wanted: ReadonlySet<string | typeof ALL_FLAGS>) => this.#refetchNow(wanted))
  #client: Evaluator | undefined
  #connectedAt = 0
  /** When Unleash last confirmed the flags in use. */
  #contactAt: number | undefined
  #trouble: string | undefined
  #isRefused = false
  #lastFlags: string | undefined
  #flagCount = 0
  #hasStoppedPolling = false
  /** A response since the last contact was invalid: a 304 after it would confirm flags that were never taken into use. */
  #isUnsure = false
  #listTimer: NodeJS.Timeout | undefined
  #watchdog: NodeJS.Timeout | undefined
  #onFirstFlags: (() => void) | undefined

  constructor(options: UnleashFlagsOptions) {
    super(options.events)
    this.#options = options
    this.#location = withoutCredentials(options.url)
    this.#longestPollMs = longestPollMs(options)
    this.#refetching = { ...options, timeoutMs: refetchTimeoutMs(options, REFETCH_TIMEOUT_MS) }
    const file = join(options.stateDir, 'unleash-flags.json')
    this.#backup = new FlagBackup(file, (error) => this.#backupFailed(error), options.backupStore)
  }

  async start(): Promise<void> {
    const firstFlags = new Promise<true>((resolve) => {
      this.#onFirstFlags = () => resolve(true)
    })
    this.#connect()
    this.#watchdog = setInterval(() => this.#reconnectIfSilent(), this.#options.refreshMs)
    this.#watchdog.unref()
    const hasFlags = await withTimeout(START_LIMIT_MS, firstFlags, false)
    // A refusal is reported already.
    if (hasFlags || this.#isRefused) return
    const consequence = 'everything goes to legacy until they come'
    this.#fail(new Error(`no flags from ${this.#location} within ${START_LIMIT_MS} ms: ${consequence}`))
  }

  async stop(): Promise<void> {
    clearInterval(this.#watchdog)
    clearTimeout(this.#listTimer)
    const client = this.#client
    this.#client = undefined
    if (client === undefined) return
    const lastCounts = client.flushMetrics().catch(() => {})
    await withTimeout(STOP_LIMIT_MS, lastCounts, undefined)
    client.destroy()
    await withTimeout(STOP_LIMIT_MS, this.#backup.settled(), undefined)
  }

  isOlderThan(ageMs: number): boolean {
    return this.#contactAt === undefined || this.#options.clock.now() - this.#contactAt > ageMs
  }

  status(): FlagStatus {
    const ageMs = this.#contactAt === undefined ? undefined : Math.max(0, this.#options.clock.now() - this.#contactAt)
    return {
      source: 'unleash',
      location: this.#location,
      flags: this.#flagCount,
      ageMs,
      stale: this.evaluator === undefined,
      trouble: this.#trouble,
      isRefused: this.#isRefused,
    }
  }

  async refresh(changed: readonly string[] = []): Promise<void> {
    await this.#refetch(changed.length === 0 || changed.length > MOST_BY_NAME ? [ALL_FLAGS] : changed)
    clearTimeout(this.#listTimer)
    if (this.#client === undefined) return
    this.#listTimer = setTimeout(() => void this.#refetch([ALL_FLAGS]), LIST_DELAY_MS)
    this.#listTimer.unref()
  }

  /** Does not pause after a failure, as polls do. Reads flags by name after the list, which may be older. */
  async #refetchNow(wanted: ReadonlySet<string | typeof ALL_FLAGS>): Promise<void> {
    if (this.#client === undefined) return
    const names = [...wanted].filter((item) => item !== ALL_FLAGS)
    try {
      if (wanted.has(ALL_FLAGS) || !this.#client.hasFlags) await this.#refetchList(this.#client)
      await allSettled(names.map((name) => this.#refetchByName(name)))
    } catch (error) {
      if (this.#client === undefined) return
      if (error instanceof NotServed && isRefusal(error.status)) this.#refuse(error.status, error)
      else this.#fail(error)
    }
  }

  /** The client may be replaced during the request: the current client takes the list. */
  async #refetchList(client: Evaluator): Promise<void> {
    const requestedAt = this.#options.clock.now()
    const list = await fetchList(this.#refetching, this.#isUnsure ? undefined : client.etag)
    if (list === 'unchanged') return client.takeUnchanged()
    this.#namedReads.forgetOlderThan(requestedAt)
    await this.#client?.takeAll(list.response, list.etag)
  }

  async #refetchByName(name: string): Promise<void> {
    const feature = await fetchFlag(name, this.#refetching)
    if (feature === undefined) return this.#namedReads.delete(name)
    this.#namedReads.set(name, feature, this.#options.clock.now())
    if (this.#client?.hasFlags) await this.#client.takeOne(feature)
  }

  /**
   * unleash-client stops polling for good after a 401 or 403, and polls eleven times less often after an outage. A new client
   * does neither. The old client is stopped, and answers until the new one has flags.
   */
  #reconnectIfSilent(): void {
    const { clock, refreshMs } = this.#options
    const silentMs = clock.now() - Math.max(this.#contactAt ?? Number.NEGATIVE_INFINITY, this.#connectedAt)
    if (this.#hasStoppedPolling || silentMs > 2 * refreshMs + this.#longestPollMs) this.#connect()
  }

  #connect(): void {
    this.#client?.destroy()
    this.#connectedAt = this.#options.clock.now()
    this.#isUnsure = false
    this.#hasStoppedPolling = false
    const client = new Evaluator(clientConfig(this.#options, this.#backup), {
      onError: (error) => this.#clientFailed(client, error),
      onSideError: (part, error) => this.#sideFailed(part, error),
    })
    this.#client = client
    client.on(UnleashEvents.Ready, () => {
      void this.#useBackup(client)
      this.#namedReads.restoreIn(client)
    })
    client.on(UnleashEvents.Changed, (features: readonly unknown[]) => this.#flagsChanged(client, features))
    client.on(UnleashEvents.Unchanged, () => (this.#isUnsure ? this.#connect() : this.#confirm(client, undefined)))
    client.start().catch((error: unknown) => this.#clientFailed(client, error))
  }

  #flagsChanged(client: Evaluator, features: readonly unknown[]): void {
    if (client.isTakingOne) {
      this.#oneFlagChanged(client, features)
      return
    }
    // unleash-client does not tell when it requested a poll: it was at most the longest poll ago.
    this.#namedReads.forgetOlderThan(this.#options.clock.now() - this.#longestPollMs)
    this.#confirm(client, features)
    this.#namedReads.restoreIn(client)
  }

  #clientFailed(client: Evaluator, error: unknown): void {
    if (this.#client !== client) return
    this.#isUnsure = true
    const status = STOPPED_POLLING.exec(String(error))?.[1]
    if (status === undefined) this.#fail(error)
    else this.#refuse(Number(status), error)
  }

  /** Unleash has answered with its flags, or with undefined `features` that they are unchanged. */
  #confirm(client: Evaluator, features: readonly unknown[] | undefined): void {
    if (client !== this.#client) return
    const { clock, events } = this.#options
    const hadTrouble = this.#trouble !== undefined
    this.#contactAt = clock.now()
    this.#trouble = undefined
    this.#isRefused = false
    this.#isUnsure = false
    this.#use(client)
    const text = features === undefined ? this.#lastFlags : JSON.stringify(features)
    if (text === this.#lastFlags) this.#backup.confirm(clock.wallTime())
    if (text === this.#lastFlags && !hadTrouble) return
    this.#lastFlags = text
    if (features !== undefined) this.#flagCount = features.length
    events.flagsRead({ source: this.#location, flags: this.#flagCount })
  }

  /** One flag does not confirm the others: the age and the trouble of the flags stay. */
  #oneFlagChanged(client: Evaluator, features: readonly unknown[]): void {
    if (client !== this.#client) return
    this.#use(client)
    this.#lastFlags = JSON.stringify(features)
    this.#flagCount = features.length
    this.#options.events.flagsRead({ source: this.#location, flags: this.#flagCount })
  }

  /** The client is ready without a response of Unleash: it has the flags of the backup. */
  async #useBackup(client: Evaluator): Promise<void> {
    if (client !== this.#client || this.evaluator !== undefined) return
    const { clock, events } = this.#options
    this.#use(client)
    this.#flagCount = client.getFeatureToggleDefinitions().length
    events.flagsRead({ source: this.#backup.source, flags: this.#flagCount })
    const ageMs = await this.#backup.ageMs(clock.wallTime())
    if (ageMs !== undefined) this.#contactAt ??= clock.now() - ageMs
  }

  #use(client: Evaluator): void {
    if (this.evaluator !== client) this.useEvaluator(client)
    this.#onFirstFlags?.()
  }

  #fail(error: unknown): void {
    this.#trouble = error instanceof Error ? error.message : String(error)
    this.#options.events.flagsFailed({ source: this.#location, error })
  }

  /** unleash-client stops polling, and only an operator can give the gateway a valid token. */
  #refuse(status: number, cause: unknown): void {
    this.#hasStoppedPolling = true
    this.#isRefused = true
    const why = `${this.#location} does not accept the token (${status}): the last good flags stay until it does; give the token back its rights, or the gateway another one`
    this.#trouble = why
    this.#options.events.flagsFailed({ source: this.#location, error: new Error(why, { cause }), isRefused: true })
  }

  /** The flags in use are in memory: the failure is not one of theirs. */
  #backupFailed(error: unknown): void {
    this.#options.events.flagsFailed({ source: this.#backup.file, error })
    this.#options.onBackupFailed?.(error)
  }

  /** A failure that changes no flag, such as usage counts that Unleash does not accept. */
  #sideFailed(part: string, error: unknown): void {
    this.#options.events.flagsFailed({ source: `${part} of ${this.#location}`, error })
  }
}

/** Waits for all: work that ends after its refresh could overwrite the flags of a later refresh. @throws the first failure */
async function allSettled(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason
}

function isRefusal(status: number): boolean {
  return status === 401 || status === 403
}
