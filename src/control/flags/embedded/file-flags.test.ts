import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { recordedEvents, rollout, until } from '../flags.test-kit.ts'
import type { Flags } from '../flags.ts'
import { FileFlags } from './file-flags.ts'

let folder: string
let file: string
let flags: Flags
let changed: () => void
let isWatching: boolean
let now: number
let eventLog: ReturnType<typeof recordedEvents>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flags-'))
  file = join(folder, 'flags.json')
  now = 0
  eventLog = recordedEvents()
  flags = new FileFlags({
    file,
    events: eventLog.events,
    clock: { now: () => now, wallTime: () => now },
    watch: (_file, onChange) => {
      changed = onChange
      isWatching = true
      return {
        close: () => {
          isWatching = false
        },
      }
    },
  })
})

afterEach(async () => {
  await flags.stop()
  await rm(folder, { recursive: true })
})

const write = (percent: number) =>
  writeFile(file, JSON.stringify({ version: 2, features: [rollout('orders', percent)] }))
const ask = () => flags.evaluate('orders', { userId: '7' })

test('an edit of the flags file is in use as soon as it is noticed', async () => {
  await write(0)
  await flags.start()
  expect(ask()).toBe('off')
  await write(100)
  changed()
  await until(() => ask() === 'on')
  expect(eventLog.of('flagsRead')).toEqual([
    { source: file, flags: 1 },
    { source: file, flags: 1 },
  ])
})

test('a missing flags file is stale and reported, and is read when it appears', async () => {
  await flags.start()
  expect(ask()).toBe('stale')
  expect(flags.status()).toMatchObject({ stale: true, ageMs: undefined, flags: 0 })
  expect(String(eventLog.of('flagsFailed')[0]?.error)).toContain('there is no such file')
  await write(100)
  changed()
  await until(() => ask() === 'on')
  expect(flags.status()).toMatchObject({ stale: false, ageMs: 0, flags: 1, trouble: undefined })
})

test('an invalid edit is reported; the last valid flags stay in use, and their age grows', async () => {
  await write(100)
  await flags.start()
  await writeFile(file, '{"features": "none"}')
  changed()
  await until(() => eventLog.of('flagsFailed').length === 1)
  now += 5000
  expect(ask()).toBe('on')
  expect(flags.status()).toMatchObject({ stale: false, ageMs: 5000 })
  expect(flags.status().trouble).toContain('features: write a list')
  await write(0)
  changed()
  await until(() => ask() === 'off')
  expect(flags.status()).toMatchObject({ ageMs: 0, trouble: undefined })
})

test('undoing an invalid edit ends the trouble', async () => {
  await write(100)
  await flags.start()
  await writeFile(file, '{')
  changed()
  await until(() => flags.status().trouble !== undefined)
  await write(100)
  changed()
  await until(() => flags.status().trouble === undefined)
})

test('a file that an editor empties before it writes it is not a mistake', async () => {
  await write(0)
  await flags.start()
  await writeFile(file, '')
  changed()
  await write(100)
  await until(() => ask() === 'on')
  expect(eventLog.of('flagsFailed')).toEqual([])
})

test('the last of several fast edits is in use', async () => {
  await write(0)
  await flags.start()
  for (const percent of [10, 20, 0, 100]) {
    await write(percent)
    changed()
  }
  await until(() => ask() === 'on')
})

test('after the removal of the file the last valid flags stay in use', async () => {
  await write(100)
  await flags.start()
  await rm(file)
  changed()
  await until(() => flags.status().trouble !== undefined)
  expect(ask()).toBe('on')
})

test('a refresh reads the file, whether or not a change was noticed', async () => {
  await write(0)
  await flags.start()
  await write(100)
  await Promise.all([flags.refresh(), flags.refresh()])
  expect(ask()).toBe('on')
  expect(flags.percentage('orders')).toEqual({ percentage: 100 })
  expect(flags.percentage('nowhere')).toEqual({ percentage: null, why: 'is not there' })
})

test('stop ends the watch of the file', async () => {
  await write(100)
  await flags.start()
  await flags.stop()
  expect(isWatching).toBe(false)
})
