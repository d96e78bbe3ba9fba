// The store of a gateway's shared state: its state folder, or Redis for a fleet.
import { ConfigError } from '../config/config-error.ts'
import type { Options } from '../config/options/options.ts'
import type { Clock } from '../model/ports.ts'
import type { Store } from '../model/store.ts'
import { FileStore } from '../store/file/file-store.ts'
import { RedisStore } from '../store/redis/redis-store.ts'
import { InvalidRedisUrl } from '../store/redis/redis-url.ts'
import type { StateFolderMonitor } from '../store/state-folder-monitor.ts'
import type { StoreEvents } from '../store/store-events.ts'
import type { Events } from '../telemetry/events.ts'

type CreateStoreOptions = Pick<Options, 'redis' | 'stateDir' | 'forgetAfterMs'> & {
  /** The id of this gateway. */
  readonly id: string
  /** Whether an operator has given the id. */
  readonly isNamed: boolean
  readonly clock: Clock
  readonly events: Events
  readonly stateFolder: StateFolderMonitor
  /** Called when the store can be reached again. */
  readonly onReached: () => void
}

/** @throws {ConfigError} if the URL of Redis is not valid */
export function createStore(options: CreateStoreOptions): Store {
  const { redis, stateDir, clock } = options
  const store: Store =
    redis === undefined
      ? new FileStore({ folder: stateDir, clock, events: storeEvents(options, () => store) })
      : createRedisStore(
          redis,
          options,
          storeEvents(options, () => store),
        )
  return store
}

function createRedisStore(
  { url, prefix }: NonNullable<Options['redis']>,
  { stateDir, forgetAfterMs, id: gateway, isNamed, clock }: CreateStoreOptions,
  events: StoreEvents,
): Store {
  try {
    return new RedisStore({ url, prefix, stateDir, forgetAfterMs, gateway, isNamed, clock, events })
  } catch (error) {
    if (!(error instanceof InvalidRedisUrl)) throw error
    throw new ConfigError('REDIS_URL', [{ path: 'REDIS_URL', found: '', message: error.message }])
  }
}

function storeEvents(options: CreateStoreOptions, store: () => Store): StoreEvents {
  const { events, stateFolder, stateDir, onReached } = options
  const location = () => store().status().location
  return {
    failed: (error) => events.storeFailed({ location: location(), error }),
    disconnected: (why) => events.storeDisconnected({ location: location(), why }),
    reconnected: (afterMs) => {
      events.storeReconnected({ location: location(), afterMs })
      onReached()
    },
    restored: (facts) => events.storeRestored({ location: location(), ...facts }),
    writeFailed: (error) => stateFolder.reportFailure(error),
    folderLost: (generation) => events.stateFolderLost({ folder: stateDir, generation }),
  }
}
