// Failures of the process, of the disk and of the files of saved comparisons.
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

describe('the folder of comparisons', () => {
  it('has a file for each period and each example, which only the owner can read', async () => {
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
        .flatMap((name) => [name, name]),
    ])
    for (const name of names) {
      const { mode } = await stat(join(folder, 'comparisons', name))
      expect(mode & 0o777, name).toBe(/\.\w+$/.test(name) ? 0o600 : 0o700)
    }
  })

  it('has no surplus examples', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    const now = Date.now()
    for (const ago of [3, 1, 5, 2, 4, 2]) await store.comparisons.saveExamples([storedExample({}, now - ago)])
    await store.comparisons.saveExamples([storedExample({ fingerprint: 'f2' }, 1)])
    expect(await filesOf(folder, 'examples')).toHaveLength(MAX_EXAMPLES_PER_DIFFERENCE)
  })

  it('does not exist before the first comparison', async () => {
    const folder = await newFolder()
    const { store } = await open(folder)
    expect(await store.comparisons.counts({ from: 0 })).toEqual([])
    expect(await store.comparisons.examples({})).toEqual([])
    await store.close()
    expect(await readdir(folder)).toEqual([])
  })

  it('of another gateway can be read but not written', async () => {
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

  it('is not written after the store was closed', async () => {
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

describe('a process that is killed while it saves comparisons', () => {
  it('leaves all acknowledged counts, and the next processes merge them into one entry', {
    timeout: 60_000,
  }, async () => {
    const folder = await newFolder()
    let least = 0
    for (let round = 1; round <= 6; round++) {
      least += await killAfter(folder, `start-${round}`, 2 + round * 5)
      const { store, errors } = await open(folder)
      const [counts, ...others] = await store.comparisons.counts({ from: 0 })
      expect(others).toEqual([])
      expect(counts?.counts.matched).toBeGreaterThanOrEqual(least)
      // Each killed process may have saved the last counts without acknowledging them.
      expect(counts?.counts.matched).toBeLessThanOrEqual(least + 1)
      least = counts?.counts.matched ?? 0
      expect((await store.comparisons.examples({})).length).toBeGreaterThan(0)
      await store.close()
      expect(errors).toEqual([])
      expect((await linesOf(folder)).length).toBe(1)
    }
  })

  it('leaves temporary files, which the next start removes', async () => {
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

describe('the counts of writers that have stopped', () => {
  it('are merged at the next start', async () => {
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

  it('do not include those of this process, even if its lock was deleted', async () => {
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

describe('a damaged file of comparisons', () => {
  it('is left out and reported once, at whatever byte it was cut, and the other files are read', async () => {
    const folder = await newFolder()
    const { store, errors } = await open(folder)
    await store.comparisons.saveCounts('gateway-1', [matched(1), matched(2, { start: stretch(1) })])
    const whole = await readFile(fileOf(folder))
    for (let length = 0; length < whole.length; length++) {
      await writeFile(fileOf(folder), whole.subarray(0, length))
      expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(2, { start: stretch(1) })])
    }
    expect(errors.map(({ message }) => message)).toEqual([`${fileOf(folder)} cannot be read, and is left out`])
  })

  it('is renamed at the next write, and removed when its period expires', async () => {
    const folder = await newFolder()
    const clock = adjustableClock()
    const { store, errors } = await open(folder, clock)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    await writeFile(fileOf(folder), 'garbage')
    await store.comparisons.saveCounts('gateway-1', [matched(2)])
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(2)])
    expect(await filesOf(folder)).toEqual([fileOf(folder), expect.stringContaining('.counts.unreadable-')])
    expect(errors).toHaveLength(1)
    clock.advance(COUNT_PERIOD_MS + COUNTS_RETENTION_MS)
    const later = stretch() + COUNT_PERIOD_MS + COUNTS_RETENTION_MS
    await store.comparisons.saveCounts('gateway-1', [matched(3, { start: later })])
    expect(await filesOf(folder)).toEqual([fileOf(folder, later)])
  })

  it('does not prevent the merging of the other files', async () => {
    const folder = await newFolder()
    for (const writer of ['start-1', 'start-2']) {
      const { store } = await open(folder)
      await store.comparisons.saveCounts(writer, [matched(1), matched(2, { start: stretch(1) })])
      await store.close()
    }
    await writeFile(fileOf(folder, stretch(1)), 'garbage')
    const { store, errors } = await open(folder)
    expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(2)])
    await store.close()
    expect(errors).toHaveLength(1)
    expect(await linesOf(folder)).toHaveLength(1)
  })

  it('with one damaged entry is read without that entry', async () => {
    const folder = await newFolder()
    const { store, errors } = await open(folder)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    const [line = ''] = await linesOf(folder)
    const [name = '', text = ''] = line.split('\t')
    const entries = new Map([
      [name, text],
      [name.replace('gateway-1', 'gateway-2'), text.replace('"matched":1', '"matched":-1')],
    ])
    await writeFile(fileOf(folder), formatCounts(entries))
    for (let round = 0; round < 3; round++) expect(await store.comparisons.counts({ from: 0 })).toEqual([matched(1)])
    expect(errors).toHaveLength(1)
  })

  it.each(['', '{}', '{"fingerprint":"f1"', '\0\0'])(
    'is left out and reported once if it is an example with the text %j',
    async (text) => {
      const folder = await newFolder()
      const { store, errors } = await open(folder)
      const [damaged, intact] = [storedExample({}, Date.now() - 1), storedExample({ fingerprint: 'f2' })]
      await store.comparisons.saveExamples([damaged])
      const [file = ''] = await filesOf(folder, 'examples')
      await store.comparisons.saveExamples([intact])
      await writeFile(file, text)
      for (let round = 0; round < 2; round++) expect(await store.comparisons.examples({})).toEqual([intact])
      expect(errors.map(({ message }) => message)).toEqual([`${file} cannot be read, and is left out`])
    },
  )

  it('is reported, but not a file that is deleted during a read', async () => {
    const folder = await newFolder()
    const { store, errors } = await open(folder)
    await store.comparisons.saveCounts('gateway-1', [matched(1)])
    await store.comparisons.saveExamples([storedExample()])
    // The name is listed, but the file does not exist.
    for (const file of await filesOf(folder)) {
      await rm(file)
      await symlink('nowhere', file)
    }
    expect(await store.comparisons.counts({ from: 0 })).toEqual([])
    expect(await store.comparisons.examples({})).toEqual([])
    expect(errors).toEqual([])
  })

  it('that is a folder is reported to the caller alone', async () => {
    const folder = await newFolder()
    const { store, errors } = await open(folder)
    // Taking the folder begins with tidying, which would report the error too: this save waits for its end.
    await store.comparisons.saveExamples([storedExample()])
    await mkdir(fileOf(folder), { recursive: true })
    await expect(store.comparisons.counts({ from: 0 })).rejects.toThrow(StoreUnavailable)
    await expect(store.comparisons.saveCounts('gateway-1', [matched(1)])).rejects.toThrow('cannot be written')
    expect(store.status().isConnected).toBe(true)
    expect(errors).toEqual([])
  })
})

describe('a full disk', () => {
  it('rejects new comparisons and keeps the saved ones', async () => {
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

describe('after the retention time', () => {
  it('counts are not returned, and their file is removed with the next period', async () => {
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

  it('counts and examples are removed by the next start too', async () => {
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

  it('an example is not returned, even if nothing was written since', async () => {
    const clock = adjustableClock()
    const { store } = await open(await newFolder(), clock)
    await store.comparisons.saveExamples([storedExample()])
    clock.advance(EXAMPLES_RETENTION_MS - 60_000)
    expect(await store.comparisons.examples({})).toHaveLength(1)
    clock.advance(60_000)
    expect(await store.comparisons.examples({})).toEqual([])
  })
})

async function open(folder: string, clock = systemClock): Promise<{ store: Store; errors: Error[] }> {
  const errors: Error[] = []
  const events = { ...NO_EVENTS, failed: (error: Error) => void errors.push(error) }
  return { store: await started(new FileStore({ folder, clock, events })), errors }
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

/** All files, sorted. */
async function filesOf(folder: string, part = ''): Promise<string[]> {
  const inside = join(folder, 'comparisons', part)
  const entries = await readdir(inside, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
}

/** The entries of the current period, as lines. */
async function linesOf(folder: string): Promise<string[]> {
  return (await readFile(fileOf(folder), 'utf8')).split('\n').slice(1, -1)
}

/** Kills a saving process after an acknowledged number. @returns the last acknowledged number */
async function killAfter(folder: string, writer: string, times: number): Promise<number> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'comparison-writer.ts'), folder, writer], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  whenOver(() => child.kill('SIGKILL'))
  let printed = ''
  child.stdout.on('data', (text: Buffer) => {
    printed += text
  })
  const acknowledged = () => Number(printed.split('\n').at(-2) ?? 0)
  await until(() => acknowledged() >= times || child.exitCode !== null)
  expect(child.exitCode).toBeNull()
  const gone = once(child, 'close')
  child.kill('SIGKILL')
  await gone
  return acknowledged()
}

/** Limits the size of each file of this process: a write beyond it fails halfway, as on a full disk. */
async function limitFiles(bytes: number | 'unlimited'): Promise<void> {
  const set = (limit: number | 'unlimited') =>
    promisify(execFile)('prlimit', ['--pid', String(process.pid), `--fsize=${limit}:`])
  whenOver(() => set('unlimited'))
  await set(bytes)
}
