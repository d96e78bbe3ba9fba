// The flags of a gateway: embedded, or of Unleash.
import { hostname } from 'node:os'
import { watchFile } from '../config/load/watch.ts'
import type { Options } from '../config/options/options.ts'
import type { UnleashOptions } from '../config/options/unleash-options.ts'
import type { AuditRecorder } from '../control/audit/audit-recorder.ts'
import { EmbeddedAuthority } from '../control/flags/embedded/embedded-authority.ts'
import { FileFlags } from '../control/flags/embedded/file-flags.ts'
import type { FlagAuthority } from '../control/flags/flag-authority.ts'
import type { Flags } from '../control/flags/flags.ts'
import { UnleashAuthority } from '../control/flags/unleash/unleash-authority.ts'
import type { FlagBackupOptions } from '../control/flags/unleash/unleash-client-config.ts'
import { UnleashFlags } from '../control/flags/unleash/unleash-flags.ts'
import { environmentOf, UnleashWriter } from '../control/flags/unleash/unleash-writer.ts'
import type { Clock } from '../model/ports.ts'
import type { Context } from '../model/route.ts'
import type { Store } from '../model/store.ts'
import type { Events } from '../telemetry/events.ts'

/** The options of reading flags; a gateway that writes them needs more. */
type ReadOnlyUnleash = Omit<UnleashOptions, 'adminToken' | 'project'>

type CreateFlagsOptions = Pick<Options, 'flags' | 'stateDir'> & {
  readonly unleash: ReadOnlyUnleash | undefined
}

type CreateAuthorityOptions = Pick<Options, 'flags' | 'stateDir' | 'unleash'> & {
  readonly store: Store
  readonly clock: Clock
  readonly events: Events
  readonly recorder: AuditRecorder
  readonly contexts: () => ReadonlyMap<string, Context>
  /** The id of this gateway. */
  readonly gateway: string
  /** Called when the state folder refuses the copy of the flags. */
  readonly onBackupFailed: (error: unknown) => void
}

/** unleash-client's own defaults. */
const UNLEASH_REFRESH_MS = 15_000
const UNLEASH_TIMEOUT_MS = 10_000

/** Flags to read, without a store: for the gateway inside an application, and for `explain`. */
export function createFlags(options: CreateFlagsOptions, events: Events, clock: Clock): Flags {
  const { unleash, stateDir, flags: file } = options
  return unleash === undefined
    ? new FileFlags({ file, events, watch: watchFile, clock })
    : unleashFlags(unleash, { stateDir }, events, clock)
}

export function createAuthority(options: CreateAuthorityOptions): FlagAuthority {
  return options.unleash === undefined ? embeddedAuthority(options) : unleashAuthority(options, options.unleash)
}

function embeddedAuthority({ flags: file, contexts, ...options }: CreateAuthorityOptions): FlagAuthority {
  const contextOf = (flag: string) => [...contexts().values()].find((context) => context.flag === flag)?.name ?? null
  return new EmbeddedAuthority({ ...options, file, watch: watchFile, contextOf })
}

function unleashAuthority(options: CreateAuthorityOptions, unleash: UnleashOptions): FlagAuthority {
  const { stateDir, store, events, clock, onBackupFailed } = options
  const { url, adminToken, project, token } = unleash
  const environment = unleash.environment ?? environmentOf(token) ?? 'development'
  return new UnleashAuthority({
    ...options,
    flags: unleashFlags(unleash, { stateDir, backupStore: store, onBackupFailed }, events, clock),
    writer: adminToken === undefined ? undefined : new UnleashWriter({ url, adminToken, project, environment }),
  })
}

function unleashFlags(unleash: ReadOnlyUnleash, backup: FlagBackupOptions, events: Events, clock: Clock): Flags {
  return new UnleashFlags({
    ...unleash,
    ...backup,
    instanceId: `${hostname()}-${process.pid}`,
    refreshMs: UNLEASH_REFRESH_MS,
    timeoutMs: UNLEASH_TIMEOUT_MS,
    events,
    clock,
  })
}
