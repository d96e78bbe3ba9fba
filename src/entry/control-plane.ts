// Composition root of the control plane: the store, the flags and the verbs over both, put together for one gateway.
import { hostname } from 'node:os'
import { ConfigError } from '../config/config-error.ts'
import { watchFile } from '../config/load/watch.ts'
import type { Options } from '../config/options/options.ts'
import type { UnleashOptions } from '../config/options/unleash-options.ts'
import { type ControlOptions, createControl, type RunningControl } from '../control/create-control.ts'
import { embeddedFlags } from '../control/flags/embedded/embedded-flags.ts'
import { fileFlags } from '../control/flags/embedded/file-flags.ts'
import { followFlagsFile } from '../control/flags/embedded/flags-file.ts'
import type { Flags } from '../control/flags/flags.ts'
import { unleashFlags } from '../control/flags/unleash/unleash-flags.ts'
import { environmentOf, unleashWriter } from '../control/flags/unleash/unleash-writer.ts'
import { replaceFile } from '../lib/replace-file.ts'
import type { FileRejection } from '../model/file-rejection.ts'
import type { Clock, FlagBackupStore, FlagWriter, Random } from '../model/ports.ts'
import type { Context } from '../model/route.ts'
import type { EmbeddedFlags } from '../model/shared-state.ts'
import type { Controls } from '../model/snapshot.ts'
import type { Store } from '../model/store.ts'
import { FileStore } from '../store/file/file-store.ts'
import { loadGatewayId } from '../store/gateway-id.ts'
import { RedisStore } from '../store/redis/redis-store.ts'
import { InvalidRedisUrl } from '../store/redis/redis-url.ts'
import { StateFolderMonitor } from '../store/state-folder-monitor.ts'
import type { StoreEvents } from '../store/store-events.ts'
import type { Events } from '../telemetry/events.ts'
import { version } from './version.ts'

export type ControlPlaneOptions = {
  readonly options: Pick<Options, 'flags' | 'stateDir' | 'unleash' | 'redis' | 'name' | 'forgetAfterMs'>
  readonly clock: Clock
  readonly random: Random
  readonly events: Events
  readonly contexts: () => ReadonlyMap<string, Context>
  /** The map on disk, if its content was rejected. */
  readonly mapRejection: () => FileRejection | undefined
  /** Makes the controls those of all new requests. */
  readonly publish: (controls: Controls, generation: number) => void
  readonly traffic: ControlOptions['traffic']
  readonly upstreams: ControlOptions['upstreams']
  /** Where the admin surface is reached by others. */
  readonly address: () => string
}

export type ControlPlane = {
  /** This gateway: as it was named, or an id that its state folder keeps. */
  readonly id: string
  /** This process, new with each start. */
  readonly instance: string
  readonly control: RunningControl
  readonly flags: Flags
  readonly store: Store
  /** The map and the flags file on disk, where their content was rejected. */
  readonly rejectedFiles: () => readonly FileRejection[]
  readonly stateFolder: StateFolderMonitor
  /** Resolves when requests may come, whether or not the store and the flags could be reached. Never rejects. */
  readonly start: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** @throws {ConfigError} if the store's address is none */
export function createControlPlane(plane: ControlPlaneOptions): ControlPlane {
  const { options, clock, random, events, contexts } = plane
  const instance = `${hostname()}-${random.hex(4)}`
  const location = options.stateDir
  const stateFolder = new StateFolderMonitor({
    folder: location,
    clock,
    onFailed: (error) => events.stateFolderFailed({ folder: location, error }),
    onRecovered: (afterMs) => events.stateFolderRecovered({ folder: location, afterMs }),
  })
  const id = options.name ?? loadGatewayId(location, instance, idNotKept)
  const isNamed = options.name !== undefined
  const store = createStore(options, { id, isNamed, clock, events, stateFolder, reached: () => flags.again() })
  const flags = options.unleash === undefined ? embedded() : ofUnleash(options.unleash)
  const control = createControl({
    store,
    clock,
    events,
    flags: flags.reader,
    useFlags: flags.use,
    writer: flags.writer,
    stateDir: options.stateDir,
    replaceFile: (path, text) => stateFolder.write(() => replaceFile(path, text)),
    stateFolder: () => stateFolder.status(),
    contexts,
    rejectedFiles,
    publish: plane.publish,
    traffic: plane.traffic,
    upstreams: plane.upstreams,
    self: { id, instance, version: version(), startedAt: clock.wallTime(), address: plane.address },
  })

  return {
    id,
    instance,
    control,
    flags: flags.reader,
    store,
    rejectedFiles,
    stateFolder,
    start: async () => {
      await store.start()
      const { openMode: mode } = stateFolder.status()
      if (mode !== undefined) events.stateFolderOpen({ folder: location, mode })
      await flags.start()
      await control.start()
    },
    stop: async () => {
      await control.stop()
      await flags.stop()
      await store.close()
      stateFolder.close()
    },
  }

  function rejectedFiles(): readonly FileRejection[] {
    return [plane.mapRejection(), flags.reader.status().rejection].filter((rejection) => rejection !== undefined)
  }

  function idNotKept(error: Error): void {
    events.storeTroubled({ location, error })
    stateFolder.reportFailure(error)
  }

  /** They are part of the shared state; the file seeds them. */
  function embedded(): FlagSource {
    const reader = embeddedFlags({
      store,
      file: options.flags,
      events,
      fileTrouble: () => file.trouble(),
      fileRejection: () => file.rejection(),
    })
    const file = followFlagsFile({
      file: options.flags,
      store,
      events,
      clock,
      watch: watchFile,
      gateway: id,
      contextOf: (flag) => [...contexts().values()].find((context) => context.flag === flag)?.name ?? null,
    })
    return {
      reader,
      use: reader.use,
      writer: undefined,
      again: file.again,
      start: async () => {
        await file.start()
        await reader.start()
      },
      stop: file.stop,
    }
  }

  function ofUnleash(unleash: UnleashOptions): FlagSource {
    const reader = createUnleashFlags(unleash, options.stateDir, events, clock, {
      keep: store,
      onBackupFailed: (error) => stateFolder.reportFailure(error),
    })
    const { url, adminToken, project, token } = unleash
    const environment = unleash.environment ?? environmentOf(token) ?? 'development'
    return {
      reader,
      use: undefined,
      writer: adminToken === undefined ? undefined : unleashWriter({ url, adminToken, project, environment }),
      again: () => {},
      start: reader.start,
      stop: reader.stop,
    }
  }
}

type FlagSource = {
  readonly reader: Flags
  /** Takes the flags of a state into use; undefined where they are not part of it. */
  readonly use: ((flags: EmbeddedFlags | null) => void) | undefined
  readonly writer: FlagWriter | undefined
  /** The store can be reached again. */
  readonly again: () => void
  readonly start: () => Promise<void>
  readonly stop: () => Promise<void>
}

type StoreUse = {
  readonly id: string
  readonly isNamed: boolean
  readonly clock: Clock
  readonly events: Events
  readonly stateFolder: StateFolderMonitor
  readonly reached: () => void
}

/** Alone, a gateway keeps its state in its folder; a fleet meets in Redis. */
function createStore({ redis, stateDir, forgetAfterMs }: ControlPlaneOptions['options'], use: StoreUse): Store {
  const { id, isNamed, clock, events } = use
  const told: StoreEvents = {
    failed: (error) => events.storeTroubled({ location: store.status().location, error }),
    disconnected: (why) => events.storeCutOff({ location: store.status().location, why }),
    reconnected: (afterMs) => {
      events.storeReached({ location: store.status().location, afterMs })
      use.reached()
    },
    restored: (facts) => events.storeRestored({ location: store.status().location, ...facts }),
    writeFailed: (error) => use.stateFolder.reportFailure(error),
    folderLost: (generation) => events.stateFolderLost({ folder: stateDir, generation }),
  }
  const store = redis === undefined ? new FileStore({ folder: stateDir, clock, events: told }) : inRedis(redis)
  return store

  function inRedis({ url, prefix }: { readonly url: string; readonly prefix: string }): Store {
    try {
      return new RedisStore({ url, prefix, stateDir, forgetAfterMs, gateway: id, isNamed, clock, events: told })
    } catch (error) {
      if (!(error instanceof InvalidRedisUrl)) throw error
      throw new ConfigError('REDIS_URL', [{ path: 'REDIS_URL', found: '', message: error.message }])
    }
  }
}

/** What it takes to read flags; moving them takes more. */
type ReadOnlyUnleash = Omit<UnleashOptions, 'adminToken' | 'project'>

/** unleash-client's own defaults. */
const UNLEASH_REFRESH_MS = 15_000
const UNLEASH_TIMEOUT_MS = 10_000

/** Flags for whoever only reads them, without a store: the gateway inside an application, and `explain`. */
export function createFlags(
  options: Pick<Options, 'flags' | 'stateDir'> & { readonly unleash: ReadOnlyUnleash | undefined },
  events: Events,
  clock: Clock,
): Flags {
  const { unleash, stateDir, flags: file } = options
  return unleash === undefined
    ? fileFlags({ file, events, watch: watchFile, clock })
    : createUnleashFlags(unleash, stateDir, events, clock)
}

function createUnleashFlags(
  unleash: ReadOnlyUnleash,
  stateDir: string,
  events: Events,
  clock: Clock,
  more: { readonly keep?: FlagBackupStore; readonly onBackupFailed?: (error: unknown) => void } = {},
): Flags {
  return unleashFlags({
    ...unleash,
    instanceId: `${hostname()}-${process.pid}`,
    refreshMs: UNLEASH_REFRESH_MS,
    timeoutMs: UNLEASH_TIMEOUT_MS,
    stateDir,
    events,
    clock,
    ...more,
  })
}
