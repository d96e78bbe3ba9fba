// A gateway whose state folder is lost, as in a container without a volume, reports it at its next start.
import { expect, it } from 'vitest'
import { systemClock } from '../../src/entry/runtime.ts'
import { EMPTY_STATE } from '../../src/model/shared-state.ts'
import { RedisStore } from '../../src/store/redis/redis-store.ts'
import { startRedis } from '../kit/redis.ts'
import { until } from '../kit/until.ts'
import { entryOf, flipped, reportOf } from './changes.ts'
import { newFolder, started } from './places.ts'

it('a gateway that starts with an empty folder reports the generation in Redis, if a gateway of its name has stopped', async () => {
  const { url } = await startRedis()
  const open = async (gateway: string, stateDir: string, isNamed = false) => {
    const lost: number[] = []
    const events = {
      failed: () => {},
      disconnected: () => {},
      reconnected: () => {},
      restored: () => {},
      folderLost: (generation: number) => void lost.push(generation),
    }
    const store = await started(new RedisStore({ url, stateDir, gateway, isNamed, clock: systemClock, events }))
    return { store, lost }
  }
  const folder = await newFolder()
  const first = await open('edge-1-0a1b2c3d', folder)
  expect(first.lost, 'the first gateway of a fleet').toEqual([])
  const state = flipped(EMPTY_STATE, 10)
  await first.store.commit(state, entryOf(state))
  await first.store.sendHeartbeat(reportOf('edge-1-0a1b2c3d'))

  expect((await open('edge-1-11111111', await newFolder())).lost, 'beside a running gateway').toEqual([])
  await first.store.close()
  await until(async () => {
    const other = await open('edge-2-22222222', folder)
    const [member] = await other.store.fleet()
    await other.store.close()
    return (member?.silentMs ?? 0) > 3000
  })
  const again = await open('edge-1-33333333', await newFolder())
  expect(again.lost, 'the folder was not kept').toEqual([1])
  expect(again.store.status().folderLost).toEqual({ at: expect.any(Number), generation: 1 })
  expect((await open('edge-1-44444444', folder)).lost, 'the folder was kept').toEqual([])
  expect((await open('edge-3-55555555', await newFolder())).lost, 'a new gateway').toEqual([])

  // A given name is recognized at once, after a crash and after a graceful stop, and not confused with a similar name.
  const named = await open('shop-deadbeef', await newFolder(), true)
  await named.store.sendHeartbeat(reportOf('shop-deadbeef'))
  await named.store.close()
  expect((await open('shop-0badcafe', await newFolder(), true)).lost, 'another name').toEqual([])
  const restarted = await open('shop-deadbeef', await newFolder(), true)
  expect(restarted.lost, 'the same name').toEqual([1])
  await restarted.store.removeMember('shop-deadbeef')
  await restarted.store.close()
  const stopped = await open('shop-deadbeef', await newFolder(), true)
  expect(stopped.lost, 'stopped gracefully').toEqual([1])
  expect(stopped.store.status().folderLost?.generation).toBe(1)
}, 30_000)
