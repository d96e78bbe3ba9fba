import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { until } from '../../test/kit/until.ts'
import { replaceFile } from '../lib/replace-file.ts'
import { KillFile } from './kill-file.ts'

let folder: string
let file: string

beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  folder = await mkdtemp(join(tmpdir(), 'kill-file-'))
  file = join(folder, 'kill')
})

afterEach(async () => {
  vi.useRealTimers()
  await rm(folder, { recursive: true, force: true })
})

type Heard = { readonly names: readonly string[]; readonly by: string; readonly reason: string | null }

function follow(stateDir = folder): { killFile: KillFile; eventLog: Heard[]; problems: (string | undefined)[] } {
  const eventLog: Heard[] = []
  const problems: (string | undefined)[] = []
  const killFile = new KillFile({
    stateDir,
    // Does not create the folder: some tests need a missing folder.
    replaceFile: async (path, text) => {
      await stat(stateDir)
      await replaceFile(path, text)
    },
    onChange: (names, by, reason) => eventLog.push({ names, by, reason }),
    onProblem: (problem) => problems.push(problem),
  })
  onTestFinished(() => killFile.stop())
  return { killFile, eventLog, problems }
}

/** Lets the kill file be read several times. */
const look = () => vi.advanceTimersByTime(1000)

/** Waits until earlier writes to the folder have ended. */
async function written(stateDir = folder): Promise<void> {
  await writeFile(join(stateDir, 'another'), '').catch(() => {})
  await new Promise((resolve) => setImmediate(resolve))
}

test('without a kill file no context is killed', () => {
  expect(follow().killFile.names).toEqual([])
  expect(follow(join(folder, 'not', 'there')).killFile.names).toEqual([])
})

test('a kill file that exists at the start is in force from the start', async () => {
  await writeFile(file, 'catalog')
  expect(follow().killFile.names).toEqual(['catalog'])
  await writeFile(`${file}.all`, '')
  expect(follow().killFile.names).toEqual(['*'])
})

test('the file kill.all sends everything to legacy whatever it contains, and its removal revives', async () => {
  const { killFile, eventLog } = follow()
  await writeFile(`${file}.all`, '')
  look()
  expect(killFile.names).toEqual(['*'])
  await rm(`${file}.all`)
  look()
  expect(eventLog).toEqual([
    { names: ['*'], by: 'kill file', reason: null },
    { names: [], by: 'kill file', reason: null },
  ])
})

test('a kill file names one context in each line, with any line ending', async () => {
  const { killFile, eventLog } = follow()
  await writeFile(file, ' catalog\r\n\n orders \n')
  look()
  expect(killFile.names).toEqual(['catalog', 'orders'])
  await writeFile(file, '*\n')
  look()
  expect(killFile.names).toEqual(['*'])
  expect(eventLog).toHaveLength(2)
})

test('an empty kill file is rejected and reported: it kills nothing, and does not revive what an earlier one killed', async () => {
  const { killFile, eventLog, problems } = follow()
  await writeFile(file, '')
  look()
  expect(killFile.names).toEqual([])
  expect(killFile.problem).toMatch(/kill is empty and is ignored: .+kill\.all/)
  await writeFile(file, 'catalog')
  look()
  await writeFile(file, '\n  \n')
  look()
  expect(killFile.names).toEqual(['catalog'])
  await rm(file)
  look()
  expect(eventLog.map(({ names }) => names)).toEqual([['catalog'], []])
  expect(problems.map((problem) => problem !== undefined)).toEqual([true, false, true, false])
})

test('a FIFO named kill does not block the process, and kills nothing', () => {
  execFileSync('mkfifo', [file])
  const { killFile } = follow()
  expect(killFile.names).toEqual([])
  expect(killFile.problem).toMatch(/is a FIFO and is ignored/)
})

test('a link named kill is not followed, neither to a device nor to a file', async () => {
  for (const target of ['/dev/zero', '/etc/hostname']) {
    await symlink(target, file)
    const { killFile } = follow()
    expect(killFile.names).toEqual([])
    expect(killFile.problem).toMatch(/is a link and is ignored/)
    await rm(file)
  }
})

test('a folder named kill and a kill file of more than 64 KiB are rejected and reported', async () => {
  await mkdir(file)
  expect(follow().killFile.problem).toMatch(/is a folder and is ignored/)
  await rm(file, { recursive: true })
  await writeFile(file, 'x\n'.repeat(40_000))
  const { killFile } = follow()
  expect(killFile.problem).toMatch(/at most 65536 bytes/)
  expect(killFile.names).toEqual([])
})

test('killHere is in force at once and without interruption, and outlives the process', async () => {
  const { killFile, eventLog } = follow()
  killFile.killHere('anna')
  expect(killFile.names).toEqual(['*'])
  look()
  await until(async () => (await readdir(folder)).includes('kill.all'))
  expect((await stat(`${file}.all`)).mode & 0o777).toBe(0o600)
  expect(await readFile(`${file}.all`, 'utf8')).toBe('killed by anna\n')
  expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([])
  await written()
  look()
  expect(eventLog).toEqual([{ names: ['*'], by: 'anna', reason: null }])
  expect(follow().killFile.names).toEqual(['*'])
})

test('killHere sends everything to legacy, also if a file names some contexts', async () => {
  await writeFile(file, 'catalog')
  const { killFile, eventLog } = follow()
  killFile.killHere('signal')
  await written()
  look()
  expect(killFile.names).toEqual(['*'])
  expect(eventLog).toEqual([{ names: ['*'], by: 'signal', reason: null }])
})

test('killHere is in force where nothing can be written, and can be revived', async () => {
  const { killFile, eventLog } = follow(join(folder, 'not', 'there'))
  killFile.killHere('signal')
  await written(join(folder, 'not', 'there'))
  look()
  expect(killFile.names).toEqual(['*'])
  expect(await killFile.reviveHere('bob')).toBeUndefined()
  expect(killFile.names).toEqual([])
  await written()
  look()
  expect(eventLog).toEqual([
    { names: ['*'], by: 'signal', reason: null },
    { names: [], by: 'bob', reason: null },
  ])
})

test('a kill file is noticed after a write of another failed', async () => {
  const stateDir = join(folder, 'late')
  const { killFile } = follow(stateDir)
  killFile.killHere('signal')
  await written(stateDir)
  await killFile.reviveHere('bob')
  await mkdir(stateDir)
  await writeFile(join(stateDir, 'kill'), 'catalog')
  look()
  expect(killFile.names).toEqual(['catalog'])
})

test('reviveHere removes the file, and is in force when it resolves', async () => {
  await writeFile(file, 'catalog')
  const { killFile, eventLog } = follow()
  expect(await killFile.reviveHere('bob', 'mended')).toBeUndefined()
  expect(killFile.names).toEqual([])
  expect(await readdir(folder)).toEqual([])
  expect(eventLog).toEqual([{ names: [], by: 'bob', reason: 'mended' }])
})

test('reviveHere directly after killHere leaves no file', async () => {
  const { killFile } = follow()
  killFile.killHere('anna')
  await killFile.reviveHere('bob')
  await written()
  look()
  expect(killFile.names).toEqual([])
  expect(await readdir(folder)).not.toContain('kill.all')
})

test('a kill that is on disk is revived by removing the file by hand', async () => {
  const { killFile } = follow()
  killFile.killHere('anna')
  await until(async () => (await readdir(folder)).includes('kill.all'))
  await rm(`${file}.all`)
  await until(() => {
    look()
    return killFile.names.length === 0
  })
})

test('a file that cannot be removed stays in force, and the reason is returned', async () => {
  await mkdir(join(`${file}.all`, 'not-empty'), { recursive: true })
  const { killFile } = follow()
  expect(await killFile.reviveHere('bob')).toMatch(/kill\.all cannot be removed \(.+\): remove it by hand/)
  expect(killFile.names).toEqual(['*'])
})

test('reviveHere without a kill changes nothing', async () => {
  const { killFile, eventLog } = follow()
  expect(await killFile.reviveHere('bob')).toBeUndefined()
  expect(eventLog).toEqual([])
})

test('a stopped kill file is not read any more', async () => {
  const { killFile, eventLog } = follow()
  killFile.stop()
  await writeFile(`${file}.all`, '')
  await written()
  look()
  expect(eventLog).toEqual([])
})
