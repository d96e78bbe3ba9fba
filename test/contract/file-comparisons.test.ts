// What a folder promises beside: of what was saved, whatever happens to the process, to the disk and to the files.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/entry/runtime.ts'
import { COUNT_PERIOD_MS } from '../../src/model/comparison-counts.ts'
import {
  COUNTS_RETENTION_MS,
  EXAMPLES_RETENTION_MS,
  MAX_EXAMPLES_PER_DIFFERENCE,
} from '../../src/model/comparison-store.ts'
import { StoreUnavailable } from '../../src/model/state-store.ts'
import type { Store } from '../../src/model/store.ts'
import { matched, storedExample, stretch } from '../../src/store/comparisons.test-kit.ts'
import { formatCounts } from '../../src/store/file/counts-text.ts'
import { FileStore } from '../../src/store/file/file-store.ts'
import { NO_EVENTS } from '../../src/store/store-events.ts'
import { adjustableClock } from '../kit/calm.ts'
import { whenOver } from '../kit/lifetime.ts'
import { until } from '../kit/until.ts'
import { newFolder, started } from './places.ts'

describe('the folder', () => {
  it('holds a file for each stretch and each example, for the gateway alone', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await store.comparisons.saveCounts('gateway-1', [matched(1), matched(1, { start: stretch(1) })])
    await store.comparisons.saveExamples([storedExample(), storedExample({ context: '../orders' })])
    const names = (await readdir(join(folder, 'comparisons'), { recursive: true })).toSorted()
    expect(names).toEqual([
      'counts',
      `counts/${stretch(1)}.counts`,
      `counts/${stretch()}.counts`,
      'examples',
      ...Array(2)
        .fill(expect.stringMatching(/^examples\/\w{24}(\/\d+-\w{24}-\w{24}\.json)?$/))
        .flatMap((one) => [one, one]),
    ])
    for (const name of names) {
      const { mode } = await stat(join(folder, 'comparisons', name))
      expect(mode & 0o777, name).toBe(/\.\w+$/.test(name) ? 0o600 : 0o700)
    }
  })

  it('holds no more examples than are kept', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const now = Date.now()
    for (const ago of [3, 1, 5, 2, 4, 2]) await store.comparisons.saveExamples([storedExample({}, now - ago)])
    await store.comparisons.saveExamples([storedExample({ fingerprint: 'f2' }, 1)])
    expect(await filesOf(folder, 'examples')).toHaveLength(MAX_EXAMPLES_PER_DIFFERENCE)
  })

  it('has no part for it while nothing was compared', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    expect(await store.comparisons.counts({ from: 0 })).toEqual([])
    expect(await store.comparisons.examples({})).toEqual([])
    await store.close()
    expect(await readdir(folder)).toEqual([])
  })

  it('of another gateway is read and not written', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    const { store: second } = await open(folder)
    expect(await second.comparisons.counts({ from: 0 })).toEqual([matched(1)])
    for (const save of savesOf(second)) {
      const error: unknown = await save().catch((thrown: unknown) => thrown)
      expect(error).toBeInstanceOf(StoreUnavailable)
      expect(String(error)).toContain('used by another gateway')
    }
  })

  it('is written no more once the store is closed', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const saved = store.comparisons.saveCounts('gateway-1', [matched(1)])
    const closed = store.close()
    await expect(savesOf(store)[0]()).rejects.toThrow(StoreUnavailable)
    await closed
    await saved
    for (const save of savesOf(store)) await expect(save()).rejects.toThrow(StoreUnavailable)
    expect(await linesOf(folder)).toHaveLength(1)
  })
})

describe('a process that is killed', () => {
  it('has kept whatever it promised, and those after it make one entry of all before', {
    timeout: 60_000,
  }, async () => {
    const folder = await newFolder()
    let least = 0
    for (let round = 1; round <= 6; round++) {
      least += await killAfter(folder, `start-${round}`, 2 + round * 5)
      const { store, told } = await open(folder)
      const [found, ...others] = await store.comparisons.counts({ from: 0 })
      expect(others).toEqual([])
      expect(found?.counts.matched).toBeGreaterThanOrEqual(least)
      // Of each that was killed, the last one may have been carried out though it was not promised.
      expect(found?.counts.matched).toBeLessThanOrEqual(least + 1)
      least = found?.counts.matched ?? 0
      expect((await store.comparisons.examples({})).length).toBeGreaterThan(0)
      await store.close()
      expect(told).toEqual([])
      expect((await linesOf(folder)).length).toBe(1)
    }
  })

  it('leaves litter that is taken away', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    await store.comparisons.saveExamples([storedExample()])
    await store.close()
    const [example] = await filesOf(folder, 'examples')
    const litter = [`${fileOf(folder)}.0000.tmp`, `${example}.0000.tmp`]
    for (const file of litter) {
      await writeFile(file, 'half')
      await utimes(file, new Date(0), new Date(0))
    }
    const young = `${fileOf(folder)}.0001.tmp`
    await writeFile(young, 'half')
    await (await open(folder)).store.close()
    expect(await filesOf(folder)).toEqual([fileOf(folder), young, example])
  })
})

describe('what writers have said who are gone', () => {
  it('is folded at the start', async () => {
    const folder = await newFolder()
    for (let start = 1; start <= 3; start++) {
      const { store } = await open(folder)
      await store.comparisons.saveCounts(`start-${start}`, [matched(start), matched(1, { route: 'GET /other' })])
      await store.close()
      expect(await linesOf(folder)).toHaveLength(start === 1 ? 2 : 4)
    }
    await (await open(folder)).store.close()
    expect(await linesOf(folder)).toHaveLength(2)
  })

  it('is not what this one says itself, though somebody takes its lock away', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    await store.comparisons.saveCounts('gateway-2', [matched(2)])
    await rm(join(folder, 'lock'))
    await store.read()
    await store.comparisons.saveCounts('gateway-1', [matched(10)])
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(12)])
  })
})

describe('a file that is damaged', () => {
  it('is left out whatever is left of it, and told once; the others are read', async () => {
    const folder = await newFolder()
    const { store, told } = await open(folder)
    await store.comparisons.saveCounts('gateway-1', [matched(1), matched(2, { start: stretch(1) })])
    const whole = await readFile(fileOf(folder))
    for (let length = 0; length < whole.length; length++) {
      await writeFile(fileOf(folder), whole.subarray(0, length))
      expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(2, { start: stretch(1) })])
    }
    expect(told.map(({ message }) => message)).toEqual([`${fileOf(folder)} cannot be read, and is left out`])
  })

  it('is put aside when there is something to be written, and goes when its stretch is forgotten', async () => {
    const folder = await newFolder()
    const clock = adjustableClock()
    const { store, told } = await open(folder, clock)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    await writeFile(fileOf(folder), 'garbage')
    await store.comparisons.saveCounts('gateway-1', [matched(2)])
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(2)])
    expect(await filesOf(folder)).toEqual([fileOf(folder), expect.stringContaining('.counts.unreadable-')])
    expect(told).toHaveLength(1)
    clock.advance(COUNT_PERIOD_MS + COUNTS_RETENTION_MS)
    const later = stretch() + COUNT_PERIOD_MS + COUNTS_RETENTION_MS
    await store.comparisons.saveCounts('gateway-1', [matched(3, { start: later })])
    expect(await filesOf(folder)).toEqual([fileOf(folder, later)])
  })

  it('does not keep the others from being folded', async () => {
    const folder = await newFolder()
    for (const writer of ['start-1', 'start-2']) {
      const { store } = await open(folder)
      await store.comparisons.saveCounts(writer, [matched(1), matched(2, { start: stretch(1) })])
      await store.close()
    }
    await writeFile(fileOf(folder, stretch(1)), 'garbage')
    const { store, told } = await open(folder)
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(2)])
    await store.close()
    expect(told).toHaveLength(1)
    expect(await linesOf(folder)).toHaveLength(1)
  })

  it('in one entry only is left out with that one', async () => {
    const folder = await newFolder()
    const { store, told } = await open(folder)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    const [line = ''] = await linesOf(folder)
    const [name = '', text = ''] = line.split('\t')
    const entries = new Map([
      [name, text],
      [name.replace('gateway-1', 'gateway-2'), text.replace('"matched":1', '"matched":-1')],
    ])
    await writeFile(fileOf(folder), formatCounts(entries))
    for (let round = 0; round < 3; round++) expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(1)])
    expect(told).toHaveLength(1)
  })

  it.each(['', '{}', '{"fingerprint":"f1"', '\0\0'])('is an example that is left out: %j', async (text) => {
    const folder = await newFolder()
    const { store, told } = await open(folder)
    const [one, other] = [storedExample({}, Date.now() - 1), storedExample({ fingerprint: 'f2' })]
    await store.comparisons.saveExamples([one])
    const [file = ''] = await filesOf(folder, 'examples')
    await store.comparisons.saveExamples([other])
    await writeFile(file, text)
    for (let round = 0; round < 2; round++) expect(await store.comparisons.examples({})).toEqual([other])
    expect(told.map(({ message }) => message)).toEqual([`${file} cannot be read, and is left out`])
  })

  it('is another thing than one that goes while it is asked for, which is nobody’s trouble', async () => {
    const folder = await newFolder()
    const { store, told } = await open(folder)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    await store.comparisons.saveExamples([storedExample()])
    // Named where all are listed, and not there when it is read.
    for (const file of await filesOf(folder)) {
      await rm(file)
      await symlink('nowhere', file)
    }
    expect(await store.comparisons.counts({ from: 0 })).toEqual([])
    expect(await store.comparisons.examples({})).toEqual([])
    expect(told).toEqual([])
  })

  it('is something else altogether: whoever asks is told, and nobody else', async () => {
    const folder = await newFolder()
    const { store, told } = await open(folder)
    // Whoever takes a folder over tidies it, and would be told too: what is saved waits for that.
    await store.comparisons.saveExamples([storedExample()])
    await mkdir(fileOf(folder), { recursive: true })
    await expect(store.comparisons.counts({ from: 0 })).rejects.toThrow(StoreUnavailable)
    await expect(store.comparisons.saveCounts('gateway-1', [matched(1)])).rejects.toThrow('cannot be written')
    expect(store.status().isConnected).toBe(true)
    expect(told).toEqual([])
  })
})

describe('a disk that takes no more', () => {
  it('refuses what is to be saved, and has what was saved before', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    await limitFiles(300)
    await expect(store.comparisons.saveCounts('gateway-1', [matched(2)])).rejects.toThrow(StoreUnavailable)
    await expect(store.comparisons.saveExamples([storedExample()])).rejects.toThrow(StoreUnavailable)
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(1)])
    await limitFiles('unlimited')
    expect(await filesOf(folder)).toEqual([fileOf(folder)])
    await store.comparisons.saveCounts('gateway-1', [matched(3)])
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(3)])
  })
})

describe('as time goes by', () => {
  it('counts are forgotten, and their file goes when the next stretch begins', async () => {
    const folder = await newFolder()
    const clock = adjustableClock()
    const { store } = await open(folder, clock)
    await store.comparisons.saveCounts('gateway-1', [matched(1), matched(2, { start: stretch(-1) })])
    clock.advance(COUNTS_RETENTION_MS + COUNT_PERIOD_MS)
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(2, { start: stretch(-1) })])
    await store.comparisons.saveCounts('gateway-1', [matched(3, { start: stretch(-1) })])
    expect(await filesOf(folder)).toHaveLength(2)
    await store.comparisons.saveCounts('gateway-1', [matched(1, { start: stretch(-2) })])
    expect(await filesOf(folder)).toEqual([fileOf(folder, stretch(-1)), fileOf(folder, stretch(-2))])
  })

  it('counts and examples are gone at the next start too', async () => {
    const folder = await newFolder()
    const clock = adjustableClock()
    const { store } = await open(folder, clock)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    await store.comparisons.saveExamples([
      storedExample(),
      storedExample({ context: 'orders' }, Date.now() + COUNT_PERIOD_MS),
    ])
    await store.close()
    clock.advance(EXAMPLES_RETENTION_MS + COUNT_PERIOD_MS / 2)
    const { store: again } = await open(folder, clock)
    expect(await again.comparisons.examples({})).toHaveLength(1)
    await again.close()
    expect(await filesOf(folder, 'examples')).toHaveLength(1)
    clock.advance(COUNT_PERIOD_MS)
    await (await open(folder, clock)).store.close()
    expect(await readdir(join(folder, 'comparisons'), { recursive: true })).toEqual(['counts', 'examples'])
  })

  it('an example is no longer shown, though nothing was written since', async () => {
    const clock = adjustableClock()
    const { store } = await open(await newFolder(), clock)
    await store.comparisons.saveExamples([storedExample()])
    clock.advance(EXAMPLES_RETENTION_MS - 60_000)
    expect(await store.comparisons.examples({})).toHaveLength(1)
    clock.advance(60_000)
    expect(await store.comparisons.examples({})).toEqual([])
  })
})

async function open(folder: string, clock = systemClock): Promise<{ store: Store; told: Error[] }> {
  const told: Error[] = []
  const events = { ...NO_EVENTS, failed: (error: Error) => void told.push(error) }
  return { store: await started(new FileStore({ folder, clock, events })), told }
}

function savesOf({ comparisons }: Store) {
  return [
    () => comparisons.saveCounts('gateway-2', [matched(1)]),
    () => comparisons.saveExamples([storedExample()]),
  ] as const
}

function fileOf(folder: string, start = stretch()): string {
  return join(folder, 'comparisons', 'counts', `${start}.counts`)
}

/** All files, in order. */
async function filesOf(folder: string, part = ''): Promise<string[]> {
  const inside = join(folder, 'comparisons', part)
  const found = await readdir(inside, { recursive: true, withFileTypes: true })
  return found
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name))
    .toSorted()
}

/** The entries of the stretch that runs, as lines. */
async function linesOf(folder: string): Promise<string[]> {
  return (await readFile(fileOf(folder), 'utf8')).split('\n').slice(1, -1)
}

/** Kills a process that saves, once it has been promised a number; gives the last that it was promised. */
async function killAfter(folder: string, writer: string, times: number): Promise<number> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'comparison-writer.ts'), folder, writer], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  whenOver(() => child.kill('SIGKILL'))
  let printed = ''
  child.stdout.on('data', (text: Buffer) => {
    printed += text
  })
  const promised = () => Number(printed.split('\n').at(-2) ?? 0)
  await until(() => promised() >= times || child.exitCode !== null)
  expect(child.exitCode).toBeNull()
  const gone = once(child, 'close')
  child.kill('SIGKILL')
  await gone
  return promised()
}

/** What one file of this process may hold: what goes beyond fails in the middle of the write, as on a full disk. */
async function limitFiles(bytes: number | 'unlimited'): Promise<void> {
  const set = (limit: number | 'unlimited') =>
    promisify(execFile)('prlimit', ['--pid', String(process.pid), `--fsize=${limit}:`])
  whenOver(() => set('unlimited'))
  await set(bytes)
}
