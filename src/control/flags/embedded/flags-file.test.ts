import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { until } from '../../../../test/kit/until.ts'
import type { EmbeddedFlags } from '../../../model/shared-state.ts'
import type { StateStore } from '../../../model/state-store.ts'
import { MemoryStore, SharedMemory } from '../../../store/memory/memory-store.ts'
import { contextNamed, flagsAt, manualClock, NOON, stampAt, transitionOf } from '../../control.test-kit.ts'
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
  readonly heard: ReturnType<typeof recordedEvents>
  readonly changed: () => void
}

/** A gateway that follows the file, and hears of a change when the test says so. */
function follow(of = store, gateway = 'g1'): Following {
  const heard = recordedEvents()
  let changed = () => {}
  const flagsFile = new FlagsFile({
    file,
    store: of,
    events: heard.events,
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
  return { flagsFile, heard, changed: () => changed() }
}

/** @param editedAt by the clock of the machine, which writes it */
async function write(flags: EmbeddedFlags | string, editedAt = NOON): Promise<void> {
  await writeFile(file, typeof flags === 'string' ? flags : JSON.stringify(flags))
  await utimes(file, editedAt / 1000, editedAt / 1000)
}

/** Whatever was to be read of the file at once has been. */
async function settled(): Promise<void> {
  for (let time = 0; time < 5; time++) {
    await readFile(file)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

async function flip(percentage: number, at: number): Promise<void> {
  const input = { stamp: stampAt(at), context: contextNamed('orders'), unleash: undefined }
  const transition = transitionOf(await store.read(), { verb: 'flip', context: 'orders', percentage }, input)
  if (transition.kind !== 'change') throw new Error(transition.kind)
  const [entry] = (await store.history({ limit: 1 })).records
  if (entry === undefined) throw new Error('nothing was seeded')
  const { position: _, ...seeded } = entry
  await store.commit(transition.next, { ...seeded, verb: 'flip', generation: transition.next.generation })
}

const at = (flag = 'orders-flag') => percentageAmong(store.current().flags as EmbeddedFlags, flag).percentage
const log = async () =>
  (await store.history({ limit: 100 })).records
    .map(({ verb, context, before, after, result }) => [verb, context, before, after, result])
    .reverse()

describe('seeding', () => {
  test('puts the flags of the file into the store, and one line into the log', async () => {
    await write(flagsAt({ 'orders-flag': 10, 'catalog-flag': 20 }))
    const { flagsFile, heard } = follow()
    await flagsFile.start()
    expect([at(), at('catalog-flag')]).toEqual([10, 20])
    expect((await store.history({ limit: 10 })).records).toMatchObject([
      { actor: file, verb: 'outside', detail: '2 flags seeded', generation: 1, gateway: 'g1', result: 'done' },
    ])
    expect(heard.of('flagsRead')).toEqual([{ source: file, flags: 2 }])
    expect(heard.of('changeFinished')).toEqual([])
    expect(store.current().contexts).toEqual({})
  })

  test('twice is nothing, be it by this gateway or by another', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    await follow().flagsFile.start()
    await follow(new MemoryStore({ memory, clock }), 'g2').flagsFile.start()
    expect(store.current().generation).toBe(1)
  })

  test('by several at once is done once', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    const all = ['g1', 'g2', 'g3'].map((gateway) => follow(new MemoryStore({ memory, clock }), gateway))
    await Promise.all(all.map(({ flagsFile }) => flagsFile.start()))
    expect(await log()).toHaveLength(1)
    expect(all.map(({ flagsFile }) => flagsFile.trouble)).toEqual([undefined, undefined, undefined])
  })

  test('does not undo a flip', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    await follow().flagsFile.start()
    await flip(50, NOON + 1000)
    await follow().flagsFile.start()
    expect(at()).toBe(50)
  })
})

describe('an edit', () => {
  // A file is written at fractions of a millisecond; the admin API has whole ones, and nobody could read it any more.
  test('that was saved at a fraction of a millisecond is on record at a whole one', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    await write(flagsAt({ 'orders-flag': 30 }), NOON + 1000.5)
    changed()
    await until(() => at() === 30)
    const { flip, changed: last } = store.current().contexts.orders ?? {}
    expect([flip?.at, last?.at]).toEqual([NOON + 1000, NOON + 1000])
  })

  beforeEach(async () => {
    await write(flagsAt({ 'orders-flag': 10, 'catalog-flag': 20, other: 5 }), NOON - HOUR)
  })

  test('is taken over, on record, and seen by whoever looked at the context before', async () => {
    const { flagsFile, heard, changed } = follow()
    await flagsFile.start()
    await write(flagsAt({ 'orders-flag': 30, 'catalog-flag': 25, other: 6 }))
    changed()
    await until(async () => (await log()).length === 4)
    expect((await log()).slice(1)).toEqual([
      ['outside', 'orders', 10, 30, 'done'],
      ['outside', 'catalog', 20, 25, 'done'],
      ['outside', null, 5, 6, 'done'],
    ])
    expect(heard.of('changeFinished')).toHaveLength(3)
    expect(store.current().contexts.orders).toMatchObject({
      flip: { by: file, percentage: 30, generation: 2, at: NOON },
      changed: { by: file, verb: 'outside', generation: 2 },
    })
    expect(Object.keys(store.current().contexts)).toEqual(['orders', 'catalog'])
  })

  test('that is older than a flip is a conflict: the flip holds, and it is told once', async () => {
    const { flagsFile, heard, changed } = follow()
    await flagsFile.start()
    await flip(50, NOON + 1000)
    await write(flagsAt({ 'orders-flag': 30, 'catalog-flag': 20, other: 5 }), NOON)
    changed()
    await until(async () => (await log()).length === 3)
    expect((await log()).at(-1)).toEqual(['outside', 'orders', 50, 30, 'conflict'])
    expect(heard.of('changeFinished')).toMatchObject([
      { result: 'conflict', detail: expect.stringContaining('flip again') },
    ])
    expect(at()).toBe(50)
    expect(store.current().contexts.orders?.flip).toMatchObject({ by: 'anna', percentage: 50 })
    await follow().flagsFile.start()
    expect(await log()).toHaveLength(3)
  })

  test('that is newer than a flip wins', async () => {
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    await flip(50, NOON - 1000)
    await write(flagsAt({ 'orders-flag': 30, 'catalog-flag': 20, other: 5 }), NOON)
    changed()
    await until(() => at() === 30)
  })

  test('is as old as the clock of the fleet says, be this machine an hour off', async () => {
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    await flip(50, NOON + HOUR - 1000)
    vi.spyOn(store, 'wallTime').mockImplementation(() => clock.wallTime() + HOUR)
    await write(flagsAt({ 'orders-flag': 30, 'catalog-flag': 20, other: 5 }), NOON)
    changed()
    await until(() => at() === 30)
  })

  test('right after another is no older than that one', async () => {
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    for (const [percentage, editedAt] of [
      [30, NOON - 100],
      [40, NOON - 50],
    ] as const) {
      await write(flagsAt({ 'orders-flag': percentage, 'catalog-flag': 20, other: 5 }), editedAt)
      changed()
      await until(() => at() === percentage)
    }
  })

  test('of which a flag is taken out takes it out', async () => {
    const { flagsFile, changed } = follow()
    await flagsFile.start()
    await write(flagsAt({ 'catalog-flag': 20, other: 5 }))
    changed()
    await until(() => at() === null)
    await until(async () => (await log()).length === 2)
    expect((await log()).at(-1)).toEqual(['outside', 'orders', 10, null, 'done'])
  })

  test('that moves no flag is on record, with the generation that it made', async () => {
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

describe('trouble', () => {
  test('with the file is told, and over once it is mended', async () => {
    const { flagsFile, heard, changed } = follow()
    await flagsFile.start()
    expect(flagsFile.trouble).toBe(`${file}: there is no such file`)
    expect(heard.of('flagsFailed')).toHaveLength(1)
    await write('{ "features": 7 }')
    changed()
    await until(() => flagsFile.trouble?.includes('features: write a list') === true)
    await write(flagsAt({ 'orders-flag': 10 }))
    changed()
    await until(() => flagsFile.trouble === undefined)
    expect(at()).toBe(10)
  })

  test('a rejected file is reported with its first mistake and the time since when, until it is mended or gone', async () => {
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

  test('an editor that empties the file first is none', async () => {
    await write(flagsAt({ 'orders-flag': 10 }), NOON - HOUR)
    const { flagsFile, heard, changed } = follow()
    await flagsFile.start()
    await write('')
    changed()
    await settled()
    await write(flagsAt({ 'orders-flag': 30 }))
    await until(() => at() === 30)
    expect(heard.of('flagsFailed')).toEqual([])
  })

  test('a store that is away is tried again when it is there', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    const { flagsFile } = follow()
    memory.isReachable = false
    await flagsFile.start()
    expect(flagsFile.trouble).toContain('cannot be reached')
    memory.isReachable = true
    flagsFile.retry()
    await until(() => flagsFile.trouble === undefined)
    expect(at()).toBe(10)
    const read = vi.spyOn(store, 'read')
    flagsFile.retry()
    await settled()
    expect(read).not.toHaveBeenCalled()
  })

  test('a store that goes away in the middle loses no line of the log', async () => {
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

  test('others who are always quicker: it is not said to be done', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    vi.spyOn(store, 'commit').mockImplementation(async () => ({ ok: false, conflict: store.current() }))
    const { flagsFile, heard } = follow()
    await flagsFile.start()
    expect(flagsFile.trouble).toContain('was not taken over')
    expect(heard.of('flagsRead')).toEqual([])
  })

  test('after the end nothing is read', async () => {
    await write(flagsAt({ 'orders-flag': 10 }))
    const { flagsFile, heard, changed } = follow()
    const started = flagsFile.start()
    changed()
    await flagsFile.stop()
    await started
    const { length } = heard.told
    changed()
    await settled()
    expect(heard.told).toHaveLength(length)
  })
})
