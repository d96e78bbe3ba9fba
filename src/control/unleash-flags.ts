// Flags of a real Unleash: polled by unleash-client, kept on disk, and never in the gateway's way.
import { join } from 'node:path'
import { type UnleashConfig, UnleashEvents } from 'unleash-client'
import type { Clock } from '../model/ports.ts'
import type { Events } from '../telemetry/events.ts'
import { Evaluator } from './evaluator.ts'
import { FlagBackup } from './flag-backup.ts'
import { type FlagStatus, type Flags, flagEngine } from './flags.ts'

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
  readonly events: Events
  readonly clock: Clock
}

/** A gateway with yesterday's flags, or none, is better than one that does not start. */
const START_MS = 2000
const LAST_COUNTS_MS = 500
/** With less, what unleash-client fetches with refuses to fetch at all: "minTimeout is greater than maxTimeout". */
const LEAST_TIMEOUT_MS = 1000
const TRIES = 3
const PAUSE_MS = 1000
/** What unleash-client says before it never asks again; were the words to change, the silence would tell. */
const GIVEN_UP = /Stopping refresh|\b40[13]\b/

export function unleashFlags(options: UnleashFlagsOptions): Flags {
  const { url, refreshMs, timeoutMs, events, clock } = options
  const location = withoutCredentials(url)
  // One poll is up to three tries with a pause after each; only then does unleash-client say that it failed.
  const longestSilenceMs = 2 * refreshMs + TRIES * (Math.max(LEAST_TIMEOUT_MS, timeoutMs) + PAUSE_MS)
  const engine = flagEngine(events)
  const backup = new FlagBackup(join(options.stateDir, 'unleash-flags.json'), backupFailed)
  let client: Evaluator | undefined
  let connectedAt = 0
  let contactAt: number | undefined
  let trouble: string | undefined
  let lastFlags: string | undefined
  let flags = 0
  let hasGivenUp = false
  /** An answer since the last contact was not understood, and a 304 after it confirms what we never took over. */
  let isUnsure = false
  let watchdog: NodeJS.Timeout | undefined
  let onFirstFlags: (() => void) | undefined

  return { ask: engine.ask, isFullyOn: engine.isFullyOn, trace: engine.trace, start, stop, status }

  async function start(): Promise<void> {
    const firstFlags = new Promise<void>((resolve) => {
      onFirstFlags = resolve
    })
    connect()
    watchdog = setInterval(reconnectIfSilent, refreshMs)
    watchdog.unref()
    if (!(await isWithin(START_MS, firstFlags)))
      failed(new Error(`no flags from ${location} within ${START_MS} ms: everything goes to legacy until they come`))
  }

  async function stop(): Promise<void> {
    clearInterval(watchdog)
    const last = client
    client = undefined
    if (last === undefined) return
    await isWithin(LAST_COUNTS_MS, last.flushMetrics())
    last.destroy()
    await isWithin(LAST_COUNTS_MS, backup.settled())
  }

  function status(): FlagStatus {
    const ageMs = contactAt === undefined ? undefined : Math.max(0, clock.now() - contactAt)
    return { source: 'unleash', location, flags, ageMs, stale: engine.current() === undefined, trouble }
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
    connecting.on(UnleashEvents.Ready, () => void useKept(connecting))
    connecting.on(UnleashEvents.Changed, (features: readonly unknown[]) => confirmed(connecting, features))
    connecting.on(UnleashEvents.Unchanged, () => (isUnsure ? connect() : confirmed(connecting, undefined)))
    connecting.start().catch(troubled)

    function troubled(error: unknown): void {
      if (client !== connecting) return
      isUnsure = true
      hasGivenUp ||= GIVEN_UP.test(String(error))
      failed(error)
    }
  }

  /** Unleash answered: `features` are its flags, undefined if they are still the same. */
  function confirmed(by: Evaluator, features: readonly unknown[] | undefined): void {
    if (by !== client) return
    const hadTrouble = trouble !== undefined
    contactAt = clock.now()
    trouble = undefined
    isUnsure = false
    use(by)
    const flagText = features === undefined ? lastFlags : JSON.stringify(features)
    if (flagText === lastFlags) backup.confirm(clock.wallTime())
    if (flagText === lastFlags && !hadTrouble) return
    lastFlags = flagText
    if (features !== undefined) flags = features.length
    events.flagsRead({ source: location, flags })
  }

  /** Ready without an answer from Unleash: these are the kept flags. */
  async function useKept(by: Evaluator): Promise<void> {
    if (by !== client || engine.current() !== undefined) return
    use(by)
    flags = by.getFeatureToggleDefinitions().length
    events.flagsRead({ source: backup.file, flags })
    const confirmedAt = await backup.confirmedAt()
    if (confirmedAt !== undefined) contactAt ??= clock.now() - (clock.wallTime() - confirmedAt)
  }

  function use(evaluator: Evaluator): void {
    if (engine.current() !== evaluator) engine.use(evaluator)
    onFirstFlags?.()
  }

  function failed(error: unknown): void {
    trouble = error instanceof Error ? error.message : String(error)
    events.flagsFailed({ source: location, error })
  }

  /** Not a trouble of the flags in use: they are in memory. */
  function backupFailed(error: unknown): void {
    events.flagsFailed({ source: backup.file, error })
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
    customHeaders: { Authorization: options.token },
    storageProvider,
  }
}

/** For logs and pages: a URL may carry a password. */
function withoutCredentials(url: string): string {
  const parsed = new URL(url)
  parsed.username = ''
  parsed.password = ''
  return parsed.href
}

async function isWithin(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, ms, false)
  })
  const isDone = await Promise.race([work.then(truth, truth), limit])
  clearTimeout(timer)
  return isDone
}

function truth(): true {
  return true
}
