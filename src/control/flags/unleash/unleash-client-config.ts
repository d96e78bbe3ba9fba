// The configuration of unleash-client, and the time limits of its polls.
import type { UnleashConfig } from 'unleash-client'
import type { FlagBackupStore } from '../../../model/ports.ts'
import { boundedAgent, UNCOMPRESSED } from './bounded-agent.ts'
import type { FlagBackup } from './flag-backup.ts'

export type UnleashClientOptions = {
  /** The base of the API, such as `https://unleash.example/api/`. */
  readonly url: string
  readonly token: string
  readonly appName: string
  /** The value for constraints on `environment`. The token decides which environment's flags Unleash sends. */
  readonly environment?: string | undefined
  readonly instanceId: string
  readonly refreshMs: number
  /** The limit of one request; less than a second counts as one second. */
  readonly timeoutMs: number
}

export type FlagBackupOptions = {
  readonly stateDir: string
  /** Called when the copy of the flags in the state folder cannot be written or read. */
  readonly onBackupFailed?: (error: unknown) => void
  /** A second copy of the last flags, for a gateway whose disk has none. */
  readonly backupStore?: FlagBackupStore | undefined
}

/** With less, the fetch library of unleash-client throws "minTimeout is greater than maxTimeout". */
const LEAST_TIMEOUT_MS = 1000
const POLL_ATTEMPTS = 3
const PAUSE_AFTER_ATTEMPT_MS = 1000

export function clientConfig(options: UnleashClientOptions, storageProvider: FlagBackup): UnleashConfig {
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

/** unleash-client reports the failure of a poll only after its last attempt. */
export function longestPollMs({ timeoutMs }: UnleashClientOptions): number {
  return POLL_ATTEMPTS * (Math.max(LEAST_TIMEOUT_MS, timeoutMs) + PAUSE_AFTER_ATTEMPT_MS)
}

/** @param mostMs unless the timeout of polls is shorter */
export function refetchTimeoutMs({ timeoutMs }: UnleashClientOptions, mostMs: number): number {
  return Math.max(LEAST_TIMEOUT_MS, Math.min(timeoutMs, mostMs))
}
