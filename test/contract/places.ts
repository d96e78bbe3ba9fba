// The places in which the contract is tested. The stores of one fleet share a place, which is new and empty for each test.
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { systemClock } from '../../src/entry/runtime.ts'
import type { Clock } from '../../src/model/ports.ts'
import type { Store } from '../../src/model/store.ts'
import { FileStore } from '../../src/store/file/file-store.ts'
import { MemoryStore, SharedMemory } from '../../src/store/memory/memory-store.ts'
import { RedisStore } from '../../src/store/redis/redis-store.ts'
import { whenOver } from '../kit/lifetime.ts'

export type Place = {
  /** A started store, which is closed after the test. A folder has only one store: it is returned again. */
  readonly open: () => Promise<Store>
  /** The store of a gateway that was stopped and started again. */
  readonly restart: () => Promise<Store>
}

export async function memoryPlace(clock: Clock = systemClock): Promise<Place> {
  const memory = new SharedMemory()
  const open = () => started(new MemoryStore({ memory, clock }))
  return { open, restart: open }
}

/** A folder has one store: `open` returns the same one each time. */
export async function filePlace(clock: Clock = systemClock): Promise<Place> {
  const folder = join(await newFolder(), '.strangler')
  let store = await started(new FileStore({ folder, clock }))
  return {
    open: async () => store,
    restart: async () => {
      await store.close()
      store = await started(new FileStore({ folder, clock }))
      return store
    },
  }
}

/** A new folder, which is removed after the test. */
export async function newFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'strangler-store-'))
  whenOver(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Its own keys in a Redis that other tests use too. The keys are removed after the test. */
export async function redisPlace(url: string): Promise<Place> {
  const prefix = `test-${randomUUID()}`
  whenOver(async () => {
    const client = new Redis(url)
    for await (const keys of client.scanStream({ match: `{${prefix}}:*` })) if (keys.length > 0) await client.del(keys)
    client.disconnect()
  })
  const open = () => started(new RedisStore({ url, prefix, clock: systemClock }))
  return { open, restart: open }
}

export async function started(store: Store): Promise<Store> {
  whenOver(() => store.close())
  await store.start()
  return store
}
