import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { until } from '../../test/kit/until.ts'
import { followKillFile, type KillFile } from './kill-file.ts'

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

type Heard = { readonly names: readonly string[]; readonly by: string }

function follow(stateDir = folder): { killFile: KillFile; heard: Heard[] } {
  const heard: Heard[] = []
  const killFile = followKillFile(stateDir, (names, by) => heard.push({ names, by }))
  onTestFinished(killFile.stop)
  return { killFile, heard }
}

/** Some looks at the file go by. */
const look = () => vi.advanceTimersByTime(1000)

/** Whatever was asked to be written to the folder is by then, or could not be. */
async function written(stateDir = folder): Promise<void> {
  await writeFile(join(stateDir, 'another'), '').catch(() => {})
  await new Promise((resolve) => setImmediate(resolve))
}

test('without a file nothing is killed', () => {
  expect(follow().killFile.current()).toEqual([])
  expect(follow(join(folder, 'not', 'there')).killFile.current()).toEqual([])
})

test('a file that is there from the start counts from the start', async () => {
  await writeFile(file, '')
  expect(follow().killFile.current()).toEqual(['*'])
})

test('a file that appears empty kills everything, and one that goes revives', async () => {
  const { killFile, heard } = follow()
  await writeFile(file, '')
  look()
  expect(killFile.current()).toEqual(['*'])
  await rm(file)
  look()
  expect(heard).toEqual([
    { names: ['*'], by: 'kill file' },
    { names: [], by: 'kill file' },
  ])
})

test('a file names contexts, one a line, however its lines end', async () => {
  const { killFile, heard } = follow()
  await writeFile(file, ' catalog\r\n\n orders \n')
  look()
  expect(killFile.current()).toEqual(['catalog', 'orders'])
  await writeFile(file, '\n  \n')
  look()
  expect(killFile.current()).toEqual(['*'])
  expect(heard).toHaveLength(2)
})

test('one that is there and cannot be read was meant: everything is killed', async () => {
  const { killFile } = follow()
  await mkdir(file)
  look()
  expect(killFile.current()).toEqual(['*'])
})

test('killHere works at once, without a moment in which it does not, and outlives the process', async () => {
  const { killFile, heard } = follow()
  killFile.killHere('anna')
  expect(killFile.current()).toEqual(['*'])
  look()
  await until(async () => (await readdir(folder)).includes('kill'))
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  await written()
  look()
  expect(heard).toEqual([{ names: ['*'], by: 'anna' }])
  expect(follow().killFile.current()).toEqual(['*'])
})

test('killHere is about everything, also where a file names some', async () => {
  await writeFile(file, 'catalog')
  const { killFile, heard } = follow()
  killFile.killHere('signal')
  await written()
  look()
  expect(killFile.current()).toEqual(['*'])
  expect(heard).toEqual([{ names: ['*'], by: 'signal' }])
})

test('killHere works where nothing can be written, and is taken back all the same', async () => {
  const { killFile, heard } = follow(join(folder, 'not', 'there'))
  killFile.killHere('signal')
  await written(join(folder, 'not', 'there'))
  look()
  expect(killFile.current()).toEqual(['*'])
  expect(await killFile.reviveHere('bob')).toBeUndefined()
  expect(killFile.current()).toEqual([])
  await written()
  look()
  expect(heard).toEqual([
    { names: ['*'], by: 'signal' },
    { names: [], by: 'bob' },
  ])
})

test('where nothing could be written, a file is still heard of', async () => {
  const stateDir = join(folder, 'late')
  const { killFile } = follow(stateDir)
  killFile.killHere('signal')
  await written(stateDir)
  await killFile.reviveHere('bob')
  await mkdir(stateDir)
  await writeFile(join(stateDir, 'kill'), 'catalog')
  look()
  expect(killFile.current()).toEqual(['catalog'])
})

test('reviveHere takes the file away, and is in force when it says so', async () => {
  await writeFile(file, 'catalog')
  const { killFile, heard } = follow()
  expect(await killFile.reviveHere('bob')).toBeUndefined()
  expect(killFile.current()).toEqual([])
  expect(await readdir(folder)).toEqual([])
  expect(heard).toEqual([{ names: [], by: 'bob' }])
})

test('reviveHere right after killHere leaves no file behind', async () => {
  const { killFile } = follow()
  killFile.killHere('anna')
  await killFile.reviveHere('bob')
  await written()
  look()
  expect(killFile.current()).toEqual([])
  expect(await readdir(folder)).not.toContain('kill')
})

test('once the disk has taken it, removing the file by hand revives', async () => {
  const { killFile } = follow()
  killFile.killHere('anna')
  await until(async () => (await readdir(folder)).includes('kill'))
  await rm(file)
  await until(() => {
    look()
    return killFile.current().length === 0
  })
})

test('a file that cannot be taken away is still in force, and it is said why', async () => {
  await mkdir(join(file, 'not-empty'), { recursive: true })
  const { killFile } = follow()
  expect(await killFile.reviveHere('bob')).toMatch(/kill cannot be removed \(.+\): remove it by hand/)
  expect(killFile.current()).toEqual(['*'])
})

test('reviveHere without anything to revive is nothing', async () => {
  const { killFile, heard } = follow()
  expect(await killFile.reviveHere('bob')).toBeUndefined()
  expect(heard).toEqual([])
})

test('a stopped one looks no more', async () => {
  const { killFile, heard } = follow()
  killFile.stop()
  await writeFile(file, '')
  await written()
  look()
  expect(heard).toEqual([])
})
