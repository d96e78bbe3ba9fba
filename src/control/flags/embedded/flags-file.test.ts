import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { until } from '../../../../test/kit/until.ts'
import { manualClock, NOON } from '../../../lib/manual-clock.test-kit.ts'
import type { EmbeddedFlags } from '../../../model/shared-state.ts'
import type { StateStore } from '../../../model/state-store.ts'
import { MemoryStore, SharedMemory } from '../../../store/memory/memory-store.ts'
import { contextNamed, flagsAt, stampAt, transitionOf } from '../../control.test-kit.ts'
import { recordedEvents } from '../flags.test-kit.ts'
import { percentageAmong } from './embedded-writer.ts'
import { FlagsFile } from './flags-file.ts'

const HOUR = 3600_000
const clock = manualClock()
let folder: string
let file: string
let memory: SharedMemory
let store: StateStore

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flags-file-'))
  file = join(folder, 'flags.json')
  memory = new SharedMemory()
  store = new MemoryStore({ memory, clock })
  await store.start()
})

afterEach(() => rm(folder, { recursive: true }))

type Following = {
  readonly flagsFile: FlagsFile
  readonly eventLog: ReturnType<typeof recordedEvents>
  readonly changed: () => void
}

/** A gateway that follows the file. `changed` reports a change of the file to it. */
function follow(of = store, gateway = 'g1'): Following {
  const eventLog = recordedEvents()
  let changed = () => {}
  const flagsFile = new FlagsFile({
    file,
    store: of,
    events: eventLog.events,
    clock,
    gateway,
    contextOf: (flag) => (flag.endsWith('-flag') ? flag.slice(0, -5) : null),
    watch: (_, onChange) => {
      changed = onChange
      return {
        close: () => {
          changed = () => {}
        },
      }
    },
  })
  onTestFinished(() => flagsFile.stop())
  return { flagsFile, eventLog, changed: () => changed() }
}

/** @param editedAt by the clock of the machine that writes it */
async function write(flags: EmbeddedFlags | string, editedAt = NOON): Promise<void> {
  await writeFile(file, typeof flags === 'string' ? flags : JSON.stringify(flags))
  await utimes(file, editedAt / 1000, editedAt / 1000)
}

/** Waits until a read that begins at once would have ended. */
async function settled(): Promise<void> {
  for (let time = 0; time < 5; time++) {
    await readFile(file)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function flip(percentage: number, time: number): Promise<void> {
  const input = { stamp: stampAt(time), context: contextNamed('orders'), unleash: undefined }
  const transition = transitionOf(await store.read(), { verb: 'flip', context: 'orders', percentage }, input)
  if (transition.kind !== 'change') throw new Error(transition.kind)
  const [entry] = (await store.history({ limit: 1 })).records
  if (entry === undefined) throw new Error('nothing was seeded')
  const { position: _, ...seeded } = entry
  await store.commit(transition.next, { ...seeded, verb: 'flip', generation: transition.next.generation })
}

const percentageOf = (flag = 'orders-flag') => percentageAmong(store.current().flags as EmbeddedFlags, flag).percentage
const log = async () =>
  (await store.history({ limit: 100 })).records
    .map((entry) => [entry.verb, entry.context, entry.before, entry.after, entry.result])
    .reverse()

describe('seeding', () => {
  test('puts the flags of the file into the store, and one entry into the audit log', async () => {
    await write(flagsAt({ 'orders-flag': 10, 'catalog-flag': 20 }))
    const { flagsFile, eventLog } = follow()
    await flagsFile.start()
    expect([percentageOf(), percentageOf('catalog-flag')]).toEqual([10, 20])
    expect((await store.history({ limit: 10 })).records).toMatchObject([
      { actor: file, verb: 'outside', detail: '2 flags seeded', generation: 1, gateway: 'g1', result: 'done' },
    ])
    expect(eventLog.of('flagsRead')).toEqual([{ source: file, flags: 2 }])
    expect(eventLog.of('changeFinished')).toEqual([])
    expect(store.current().contexts).toEqual({})
  })

  test('a second time changes nothing, by the same gateway or another', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    await follow().flagsFile.start()
    await follow(new MemoryStore({ memory, clock }), 'g2').flagsFile.start()
    expect(store.current().generation).toBe(1)
  })

  test('by several gateways at once happens once', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    const gateways = ['g1', 'g2', 'g3'].map((gateway) => follow(new MemoryStore({ memory, clock }), gateway))
    await Promise.all(gateways.map(({ flagsFile }) => flagsFile.start()))
    expect(await log()).toHaveLength(1)
    expect(gateways.map(({ flagsFile }) => flagsFile.trouble)).toEqual([undefined, undefined, undefined])
  })

  test('does not undo a flip', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    await follow().flagsFile.start()
    await flip(50, NOON + 1000)
    await follow().flagsFile.start()
    expect(percentageOf()).toBe(50)
  })
})

describe('an edit of the flags file', () => {
  // Files have times with fractions of a millisecond, which the schema of the shared state does not accept.
  test('that was saved at a fraction of a millisecond is recorded at a whole one', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    await write(flagsAt({ 'orders-flag': 30 }), NOON + 1000.5)
    changed()
    await until(() => percentageOf() === 30)
    const { flip, changed: last } = store.current().contexts.orders ?? {}
    expect([flip?.at, last?.at]).toEqual([NOON + 1000, NOON + 1000])
  })

  beforeEach(async () => {
    await write(flagsAt({ 'orders-flag': 10, 'catalog-flag': 20, other: 5 }), NOON - HOUR)
  })

  test('is taken over and recorded, and conflicts with a change of the previous state', async () => {
    const { flagsFile, eventLog, changed } = follow()
    await flagsFile.start()
    await write(flagsAt({ 'orders-flag': 30, 'catalog-flag': 25, other: 6 }))
    changed()
    await until(async () => (await log()).length === 4)
    expect((await log()).slice(1)).toEqual([
      ['outside', 'orders', 10, 30, 'done'],
      ['outside', 'catalog', 20, 25, 'done'],
      ['outside', null, 5, 6, 'done'],
    ])
    expect(eventLog.of('changeFinished')).toHaveLength(3)
    expect(store.current().contexts.orders).toMatchObject({
      flip: { by: file, percentage: 30, generation: 2, at: NOON },
      changed: { by: file, verb: 'outside', generation: 2 },
    })
    expect(Object.keys(store.current().contexts)).toEqual(['orders', 'catalog'])
  })

  test('that is older than a flip is a conflict: the flip stays, and the conflict is reported once', async () => {
    const { flagsFile, eventLog, changed } = follow()
    await flagsFile.start()
    await flip(50, NOON + 1000)
    await write(flagsAt({ 'orders-flag': 30, 'catalog-flag': 20, other: 5 }), NOON)
    changed()
    await until(async () => (await log()).length === 3)
    expect((await log()).at(-1)).toEqual(['outside', 'orders', 50, 30, 'conflict'])
    expect(eventLog.of('changeFinished')).toMatchObject([
      { result: 'conflict', detail: expect.stringContaining('flip again') },
    ])
    expect(percentageOf()).toBe(50)
    expect(store.current().contexts.orders?.flip).toMatchObject({ by: 'anna', percentage: 50 })
    await follow().flagsFile.start()
    expect(await log()).toHaveLength(3)
  })

  test('that is newer than a flip replaces it', async () => {
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    await flip(50, NOON - 1000)
    await write(flagsAt({ 'orders-flag': 30, 'catalog-flag': 20, other: 5 }), NOON)
    changed()
    await until(() => percentageOf() === 30)
  })

  test('has a time by the clock of the fleet, if this machine is an hour off', async () => {
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    await flip(50, NOON + HOUR - 1000)
    vi.spyOn(store, 'wallTime').mockImplementation(() => clock.wallTime() + HOUR)
    await write(flagsAt({ 'orders-flag': 30, 'catalog-flag': 20, other: 5 }), NOON)
    changed()
    await until(() => percentageOf() === 30)
  })

  test('directly after another edit is not older than that one', async () => {
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    for (const [percentage, editedAt] of [
      [30, NOON - 100],
      [40, NOON - 50],
    ] as const) {
      await write(flagsAt({ 'orders-flag': percentage, 'catalog-flag': 20, other: 5 }), editedAt)
      changed()
      await until(() => percentageOf() === percentage)
    }
  })

  test('that removes a flag removes it from the store', async () => {
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    await write(flagsAt({ 'catalog-flag': 20, other: 5 }))
    changed()
    await until(() => percentageOf() === null)
    await until(async () => (await log()).length === 2)
    expect((await log()).at(-1)).toEqual(['outside', 'orders', 10, null, 'done'])
  })

  test('that moves no flag is recorded with the generation that it made', async () => {
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    const flags = flagsAt({ 'orders-flag': 10, 'catalog-flag': 20, other: 5 })
    await write({ ...flags, segments: [{ id: 1, constraints: [] }] })
    changed()
    await until(() => store.current().generation === 2)
    expect((await store.history({ limit: 1 })).records).toMatchObject([
      { context: null, generation: 2, detail: `${file} was edited: no flag moved` },
    ])
  })
})

describe('trouble with the flags file', () => {
  test('is reported, and ends when the file is corrected', async () => {
    const { flagsFile, eventLog, changed } = follow()
    await flagsFile.start()
    expect(flagsFile.trouble).toBe(`${file}: there is no such file`)
    expect(eventLog.of('flagsFailed')).toHaveLength(1)
    await write('{ "features": 7 }')
    changed()
    await until(() => flagsFile.trouble?.includes('features: write a list') === true)
    await write(flagsAt({ 'orders-flag': 10 }))
    changed()
    await until(() => flagsFile.trouble === undefined)
    expect(percentageOf()).toBe(10)
  })

  test('from rejected content is reported with its first mistake and the time, until it is corrected or removed', async () => {
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    expect(flagsFile.rejection).toBeUndefined()
    await write('{ "features": 7 }')
    changed()
    await until(() => flagsFile.rejection !== undefined)
    const first = flagsFile.rejection
    expect(first).toMatchObject({
      file: 'flags',
      path: file,
      mistake: expect.stringMatching(/^features: write a list/),
    })
    clock.advance(60_000)
    await write('{')
    changed()
    await until(() => flagsFile.rejection?.mistake.startsWith('is not JSON') === true)
    expect(flagsFile.rejection?.since).toBe(first?.since)
    await rm(file)
    changed()
    await until(() => flagsFile.rejection === undefined)
    await write('{')
    changed()
    await until(() => flagsFile.rejection !== undefined)
    await write(flagsAt({ 'orders-flag': 10 }))
    changed()
    await until(() => flagsFile.rejection === undefined)
  })

  test('is not reported when an editor empties the file before it writes it', async () => {
    await write(flagsAt({ 'orders-flag': 10 }), NOON - HOUR)
    const { flagsFile, eventLog, changed } = follow()
    await flagsFile.start()
    await write('')
    changed()
    await settled()
    await write(flagsAt({ 'orders-flag': 30 }))
    await until(() => percentageOf() === 30)
    expect(eventLog.of('flagsFailed')).toEqual([])
  })

  test('because of an unreachable store ends with a retry when the store returns', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    const { flagsFile } = follow()
    memory.isReachable = false
    await flagsFile.start()
    expect(flagsFile.trouble).toContain('cannot be reached')
    memory.isReachable = true
    flagsFile.retry()
    await until(() => flagsFile.trouble === undefined)
    expect(percentageOf()).toBe(10)
    const read = vi.spyOn(store, 'read')
    flagsFile.retry()
    await settled()
    expect(read).not.toHaveBeenCalled()
  })

  test('because the store becomes unreachable during an edit loses no entry of the audit log', async () => {
    await write(flagsAt({ 'orders-flag': 10, 'catalog-flag': 20 }), NOON - HOUR)
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    const record = vi.spyOn(store, 'record').mockRejectedValue(new Error('gone'))
    await write(flagsAt({ 'orders-flag': 30, 'catalog-flag': 25 }))
    changed()
    await until(() => flagsFile.trouble !== undefined)
    record.mockRestore()
    flagsFile.retry()
    await until(() => flagsFile.trouble === undefined)
    expect((await log()).slice(1).map(([, context]) => context)).toEqual(['orders', 'catalog'])
  })

  test('because other changes are always committed first is reported, and the flags do not count as read', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    vi.spyOn(store, 'commit').mockImplementation(async () => ({ ok: false, conflict: store.current() }))
    const { flagsFile, eventLog } = follow()
    await flagsFile.start()
    expect(flagsFile.trouble).toContain('was not taken over')
    expect(eventLog.of('flagsRead')).toEqual([])
  })

  test('is not caused by stop, after which nothing is read', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    const { flagsFile, eventLog, changed } = follow()
    const started = flagsFile.start()
    changed()
    await flagsFile.stop()
    await started
    const { length } = eventLog.recorded
    changed()
    await settled()
    expect(eventLog.recorded).toHaveLength(length)
  })
})
