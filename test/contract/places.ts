// Where the contract is tried: a place is what the handles of one fleet share, new and empty for each test.
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { StateStore } from '../../src/model/state-store.ts'
import { systemClock } from '../../src/runtime.ts'
import { fileStore } from '../../src/store/file/file-store.ts'
import { memoryStore, sharedMemory } from '../../src/store/memory/memory-store.ts'
import { redisStore } from '../../src/store/redis/redis-store.ts'
import { KEYS } from '../../src/store/redis/scripts.ts'
import { whenOver } from '../kit/lifetime.ts'

export type Place = {
  /** A handle that was started, and is closed with the test. The folder has one handle only: it is given again. */
  readonly open: () => Promise<StateStore>
}

export async function memoryPlace(): Promise<Place> {
  const memory = sharedMemory()
  return { open: () => started(memoryStore({ memory, clock: systemClock })) }
}

/** A folder has one handle: whoever opens it again has the same. */
export async function filePlace(): Promise<Place> {
  const store = await started(fileStore({ folder: join(await newFolder(), '.strangler'), clock: systemClock }))
  return { open: async () => store }
}

/** A new folder that is gone with the test. */
export async function newFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'strangler-store-'))
  whenOver(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Keys of its own in a Redis that others may use too, and that are gone with the test. */
export async function redisPlace(url: string): Promise<Place> {
  const prefix = `test-${randomUUID()}`
  whenOver(async () => {
    const client = new Redis(url)
    await client.del(KEYS.map((name) => `{${prefix}}:${name}`))
    client.disconnect()
  })
  return { open: () => started(redisStore({ url, prefix, clock: systemClock })) }
}

export async function started(store: StateStore): Promise<StateStore> {
  whenOver(() => store.close())
  await store.start()
  return store
}
