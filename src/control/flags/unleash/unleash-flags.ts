// Flags of a real Unleash: polled by unleash-client, kept on disk, and never in the gateway's way.
import { join } from 'node:path'
import { type UnleashConfig, UnleashEvents } from 'unleash-client'
import { singleFlight } from '../../../lib/single-flight.ts'
import { withTimeout } from '../../../lib/timeout.ts'
import type { Clock, FlagBackupStore } from '../../../model/ports.ts'
import type { Events } from '../../../telemetry/events.ts'
import { Evaluator, type Feature } from '../evaluator.ts'
import { type FlagStatus, type Flags, flagEngine } from '../flags.ts'
import { withoutCredentials } from './admin-api.ts'
import { boundedAgent, UNCOMPRESSED } from './bounded-agent.ts'
import { FlagBackup } from './flag-backup.ts'
import { fetchFlag, fetchList, NotServed, type RefetchOptions } from './refetch.ts'

export type UnleashFlagsOptions = {
  /** The API's base, such as `https://unleash.example/api/`. */
  readonly url: string
  readonly token: string
  readonly appName: string
  /** What constraints on `environment` are compared with; the token decides whose flags are sent. */
  readonly environment?: string | undefined
  readonly instanceId: string
  readonly refreshMs: number
  /** Of one request; less than a second counts as one. */
  readonly timeoutMs: number
  readonly stateDir: string
  /** Called when the copy of the flags in the state folder cannot be written or read. */
  readonly onBackupFailed?: (error: unknown) => void
  /** Where a second copy of the last good flags is, for a gateway whose disk has none. */
  readonly keep?: FlagBackupStore | undefined
  readonly events: Events
  readonly clock: Clock
}

/** A gateway with yesterday's flags, or none, is better than one that does not start. */
const START_MS = 2000
const LAST_COUNTS_MS = 500
/** With less, what unleash-client fetches with refuses to fetch at all: "minTimeout is greater than maxTimeout". */
const LEAST_TIMEOUT_MS = 1000
/** Of one of the tries of a refresh: somebody waits for it, and polls go on whatever becomes of it. */
const REFETCH_TIMEOUT_MS = 2000
const TRIES = 3
const PAUSE_MS = 1000
/** What unleash-client says before it never asks again; were the words to change, the silence would tell. */
const GIVEN_UP = /responded (40[13])\b/
const EVERYTHING = Symbol('all flags')
/**
 * Unleash makes the list that it serves anew once a second. A list that is asked for in that second may be older than
 * what was read by name, which holds against it however late it comes; when the second is over the list is asked for,
 * and counts.
 */
const OLDEST_LIST_MS = 1400
const SETTLED_MS = 1500
/** More than these are not worth a request each: the whole list is one. */
const MOST_BY_NAME = 10

export function unleashFlags(options: UnleashFlagsOptions): Flags {
  const { url, refreshMs, timeoutMs, events, clock } = options
  const location = withoutCredentials(url)
  // One poll is up to three tries with a pause after each; only then does unleash-client say that it failed.
  const longestPollMs = TRIES * (Math.max(LEAST_TIMEOUT_MS, timeoutMs) + PAUSE_MS)
  const longestSilenceMs = 2 * refreshMs + longestPollMs
  const refetching: RefetchOptions = { ...options, timeoutMs: clamp(LEAST_TIMEOUT_MS, timeoutMs, REFETCH_TIMEOUT_MS) }
  const engine = flagEngine(events)
  const backup = new FlagBackup(join(options.stateDir, 'unleash-flags.json'), backupFailed, options.keep)
  const refetch = singleFlight(refetchNow)
  let client: Evaluator | undefined
  let connectedAt = 0
  let contactAt: number | undefined
  let trouble: string | undefined
  let isRefused = false
  let lastFlags: string | undefined
  let flags = 0
  let hasGivenUp = false
  /** An answer since the last contact was not understood, and a 304 after it confirms what we never took over. */
  let isUnsure = false
  let settling: NodeJS.Timeout | undefined
  /** What was read by name a moment ago, and when it came. */
  const readByName = new Map<string, { readonly feature: Feature; readonly readAt: number }>()
  let watchdog: NodeJS.Timeout | undefined
  let onFirstFlags: (() => void) | undefined

  const { evaluate: ask, isFullyOn, trace, percentage } = engine
  return { evaluate: ask, isFullyOn, isOlderThan, trace, percentage, start, stop, refresh, status }

  function isOlderThan(ageMs: number): boolean {
    return contactAt === undefined || clock.now() - contactAt > ageMs
  }

  async function start(): Promise<void> {
    const firstFlags = new Promise<void>((resolve) => {
      onFirstFlags = resolve
    })
    connect()
    watchdog = setInterval(reconnectIfSilent, refreshMs)
    watchdog.unref()
    // Why not is known already where Unleash has answered.
    if (
      !(await withTimeout(
        START_MS,
        firstFlags.then(
          () => true,
          () => true,
        ),
        false,
      )) &&
      !isRefused
    )
      failed(new Error(`no flags from ${location} within ${START_MS} ms: everything goes to legacy until they come`))
  }

  async function stop(): Promise<void> {
    clearInterval(watchdog)
    clearTimeout(settling)
    const last = client
    client = undefined
    if (last === undefined) return
    await withTimeout(
      LAST_COUNTS_MS,
      last.flushMetrics().catch(() => {}),
      undefined,
    )
    last.destroy()
    await withTimeout(LAST_COUNTS_MS, backup.settled(), undefined)
  }

  function status(): FlagStatus {
    const ageMs = contactAt === undefined ? undefined : Math.max(0, clock.now() - contactAt)
    return { source: 'unleash', location, flags, ageMs, stale: engine.current() === undefined, trouble, isRefused }
  }

  async function refresh(changed: readonly string[] = []): Promise<void> {
    await refetch(changed.length === 0 || changed.length > MOST_BY_NAME ? [EVERYTHING] : changed)
    clearTimeout(settling)
    if (client === undefined) return
    settling = setTimeout(() => void refetch([EVERYTHING]), SETTLED_MS)
    settling.unref()
  }

  /** Without the pause that polls make after a failure. By name comes last, as the list may be older, or not there yet. */
  async function refetchNow(wanted: ReadonlySet<string | typeof EVERYTHING>): Promise<void> {
    if (client === undefined) return
    const names = [...wanted].filter((one) => one !== EVERYTHING)
    try {
      if (wanted.has(EVERYTHING) || !client.hasFlags) await refetchList(client)
      await allEnded(names.map(refetchByName))
    } catch (error) {
      if (client === undefined) return
      if (error instanceof NotServed && isRefusal(error.status)) refused(error.status, error)
      else failed(error)
    }
  }

  /** Into the client of now, as a flag by its name: it need not be the one there was when this was asked for. */
  async function refetchList(by: Evaluator): Promise<void> {
    const askedAt = clock.now()
    // Where a 304 would confirm what was never taken over, the list itself is wanted.
    const list = await fetchList(refetching, isUnsure ? undefined : by.etag)
    if (list === 'unchanged') return by.takeUnchanged()
    forgetOlderThan(askedAt)
    await client?.takeAll(list.response, list.etag)
  }

  async function refetchByName(name: string): Promise<void> {
    const feature = await fetchFlag(name, refetching)
    if (feature === undefined) return void readByName.delete(name)
    readByName.set(name, { feature, readAt: clock.now() })
    if (client?.hasFlags) await client.takeOne(feature)
  }

  /** A list that was asked for then is newer. */
  function forgetOlderThan(listAskedAt: number): void {
    for (const [name, { readAt }] of readByName) if (listAskedAt - readAt >= OLDEST_LIST_MS) readByName.delete(name)
  }

  /** Before anybody asks: what a list, or what was kept, has just put in the place of what is newer. */
  function holdReadByName(by: Evaluator): void {
    for (const { feature } of readByName.values()) void by.takeOne(feature)
    if (readByName.size > 0) by.forgetEtag()
  }

  /**
   * unleash-client stops polling for good after a 401 or 403, and slows down elevenfold after an outage. A fresh
   * client does neither; the old one, stopped, answers until the new one has flags.
   */
  function reconnectIfSilent(): void {
    const silentMs = clock.now() - Math.max(contactAt ?? Number.NEGATIVE_INFINITY, connectedAt)
    if (hasGivenUp || silentMs > longestSilenceMs) connect()
  }

  function connect(): void {
    client?.destroy()
    connectedAt = clock.now()
    isUnsure = false
    hasGivenUp = false
    const connecting = new Evaluator(configOf(options, backup), { onTrouble: troubled, onSideTrouble: sideTrouble })
    client = connecting
    connecting.on(UnleashEvents.Ready, () => {
      void useKept(connecting)
      holdReadByName(connecting)
    })
    connecting.on(UnleashEvents.Changed, (features: readonly unknown[]) => {
      if (connecting.isTakingOne) return tookOne(connecting, features)
      // When a poll was asked for is not known, but how long one takes at most.
      forgetOlderThan(clock.now() - longestPollMs)
      confirmed(connecting, features)
      holdReadByName(connecting)
    })
    connecting.on(UnleashEvents.Unchanged, () => (isUnsure ? connect() : confirmed(connecting, undefined)))
    connecting.start().catch(troubled)

    function troubled(error: unknown): void {
      if (client !== connecting) return
      isUnsure = true
      const status = GIVEN_UP.exec(String(error))?.[1]
      if (status === undefined) failed(error)
      else refused(Number(status), error)
    }
  }

  /** Unleash answered: `features` are its flags, undefined if they are still the same. */
  function confirmed(by: Evaluator, features: readonly unknown[] | undefined): void {
    if (by !== client) return
    const hadTrouble = trouble !== undefined
    contactAt = clock.now()
    trouble = undefined
    isRefused = false
    isUnsure = false
    use(by)
    const flagText = features === undefined ? lastFlags : JSON.stringify(features)
    if (flagText === lastFlags) backup.confirm(clock.wallTime())
    if (flagText === lastFlags && !hadTrouble) return
    lastFlags = flagText
    if (features !== undefined) flags = features.length
    events.flagsRead({ source: location, flags })
  }

  /** One flag says nothing of the others: their age and their trouble stay. */
  function tookOne(by: Evaluator, features: readonly unknown[]): void {
    if (by !== client) return
    use(by)
    lastFlags = JSON.stringify(features)
    flags = features.length
    events.flagsRead({ source: location, flags })
  }

  /** Ready without an answer from Unleash: these are the kept flags. */
  async function useKept(by: Evaluator): Promise<void> {
    if (by !== client || engine.current() !== undefined) return
    use(by)
    flags = by.getFeatureToggleDefinitions().length
    events.flagsRead({ source: backup.source(), flags })
    const ageMs = await backup.ageMs(clock.wallTime())
    if (ageMs !== undefined) contactAt ??= clock.now() - ageMs
  }

  function use(evaluator: Evaluator): void {
    if (engine.current() !== evaluator) engine.use(evaluator)
    onFirstFlags?.()
  }

  function failed(error: unknown): void {
    trouble = error instanceof Error ? error.message : String(error)
    events.flagsFailed({ source: location, error })
  }

  /** The one trouble that does not heal by itself, and after which unleash-client never asks again. */
  function refused(status: number, cause: unknown): void {
    hasGivenUp = true
    isRefused = true
    const what = `${location} does not accept the token (${status}): the last good flags stay until it does; give the token back its rights, or the gateway another one`
    trouble = what
    events.flagsFailed({ source: location, error: new Error(what, { cause }), isRefused: true })
  }

  /** Not a trouble of the flags in use: they are in memory. */
  function backupFailed(error: unknown): void {
    events.flagsFailed({ source: backup.file, error })
    options.onBackupFailed?.(error)
  }

  /** Unleash shows how often a flag was asked; that it cannot hear of it, for one, changes no answer. */
  function sideTrouble(part: string, error: unknown): void {
    events.flagsFailed({ source: `${part} of ${location}`, error })
  }
}

function configOf(options: UnleashFlagsOptions, storageProvider: FlagBackup): UnleashConfig {
  return {
    url: options.url,
    appName: options.appName,
    ...(options.environment === undefined ? {} : { environment: options.environment }),
    instanceId: options.instanceId,
    refreshInterval: options.refreshMs,
    timeout: Math.max(LEAST_TIMEOUT_MS, options.timeoutMs),
    customHeaders: { Authorization: options.token, ...UNCOMPRESSED },
    httpOptions: { agent: boundedAgent },
    storageProvider,
  }
}

/** Waits for all, whichever fails: one that ends after its refresh could undo what a later one has read. */
async function allEnded(work: readonly Promise<void>[]): Promise<void> {
  for (const one of await Promise.allSettled(work)) if (one.status === 'rejected') throw one.reason
}

function clamp(least: number, wanted: number, most: number): number {
  return Math.max(least, Math.min(wanted, most))
}

function isRefusal(status: number): boolean {
  return status === 401 || status === 403
}
