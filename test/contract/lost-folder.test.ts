// A gateway whose state folder was not kept, as in a container without a volume, reports it when it starts again.
import { expect, it } from 'vitest'
import { EMPTY_STATE } from '../../src/model/shared-state.ts'
import { systemClock } from '../../src/runtime.ts'
import { redisStore } from '../../src/store/redis/redis-store.ts'
import { startRedis } from '../kit/redis.ts'
import { until } from '../kit/until.ts'
import { entryOf, flipped, reportOf } from './changes.ts'
import { newFolder, started } from './places.ts'

it('a gateway that starts with an empty folder reports the generation that Redis has, if one of its name is gone', async () => {
  const { url } = await startRedis()
  const open = async (gateway: string, stateDir: string) => {
    const lost: number[] = []
    const events = {
      troubled: () => {},
      cutOff: () => {},
      reached: () => {},
      restored: () => {},
      folderLost: (generation: number) => void lost.push(generation),
    }
    const store = await started(redisStore({ url, stateDir, gateway, clock: systemClock, events }))
    return { store, lost }
  }
  const kept = await newFolder()
  const first = await open('edge-1-0a1b2c3d', kept)
  expect(first.lost, 'the first gateway of a fleet').toEqual([])
  const state = flipped(EMPTY_STATE, 10)
  await first.store.commit(state, entryOf(state))
  await first.store.beat(reportOf('edge-1-0a1b2c3d'))

  expect((await open('edge-1-11111111', await newFolder())).lost, 'beside one that runs').toEqual([])
  await first.store.close()
  await until(async () => {
    const other = await open('edge-2-22222222', kept)
    const [member] = await other.store.fleet()
    await other.store.close()
    return (member?.silentMs ?? 0) > 3000
  })
  expect((await open('edge-1-33333333', await newFolder())).lost, 'the folder was not kept').toEqual([1])
  expect((await open('edge-1-44444444', kept)).lost, 'the folder was kept').toEqual([])
  expect((await open('edge-3-55555555', await newFolder())).lost, 'a new gateway').toEqual([])
}, 30_000)
