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

function follow(stateDir = folder): { killFile: KillFile; heard: Heard[]; problems: (string | undefined)[] } {
  const heard: Heard[] = []
  const problems: (string | undefined)[] = []
  const killFile = new KillFile({
    stateDir,
    // As the real one, but it does not make the folder: some tests need a folder that is not there.
    replaceFile: async (path, text) => {
      await stat(stateDir)
      await replaceFile(path, text)
    },
    onChange: (names, by, reason) => heard.push({ names, by, reason }),
    onProblem: (problem) => problems.push(problem),
  })
  onTestFinished(() => killFile.stop())
  return { killFile, heard, problems }
}

/** Some looks at the file go by. */
const look = () => vi.advanceTimersByTime(1000)

/** Whatever was asked to be written to the folder is by then, or could not be. */
async function written(stateDir = folder): Promise<void> {
  await writeFile(join(stateDir, 'another'), '').catch(() => {})
  await new Promise((resolve) => setImmediate(resolve))
}

test('without a file nothing is killed', () => {
  expect(follow().killFile.names).toEqual([])
  expect(follow(join(folder, 'not', 'there')).killFile.names).toEqual([])
})

test('a file that is there from the start counts from the start', async () => {
  await writeFile(file, 'catalog')
  expect(follow().killFile.names).toEqual(['catalog'])
  await writeFile(`${file}.all`, '')
  expect(follow().killFile.names).toEqual(['*'])
})

test('a file kill.all sends everything to legacy whatever it contains, and its removal revives', async () => {
  const { killFile, heard } = follow()
  await writeFile(`${file}.all`, '')
  look()
  expect(killFile.names).toEqual(['*'])
  await rm(`${file}.all`)
  look()
  expect(heard).toEqual([
    { names: ['*'], by: 'kill file', reason: null },
    { names: [], by: 'kill file', reason: null },
  ])
})

test('a file names contexts, one a line, however its lines end', async () => {
  const { killFile, heard } = follow()
  await writeFile(file, ' catalog\r\n\n orders \n')
  look()
  expect(killFile.names).toEqual(['catalog', 'orders'])
  await writeFile(file, '*\n')
  look()
  expect(killFile.names).toEqual(['*'])
  expect(heard).toHaveLength(2)
})

test('an empty kill file is refused and reported: it kills nothing, and does not revive what an earlier one killed', async () => {
  const { killFile, heard, problems } = follow()
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
  expect(heard.map(({ names }) => names)).toEqual([['catalog'], []])
  expect(problems.map((problem) => problem !== undefined)).toEqual([true, false, true, false])
})

test('a FIFO named kill does not block the process, and kills nothing', () => {
  execFileSync('mkfifo', [file])
  const { killFile } = follow()
  expect(killFile.names).toEqual([])
  expect(killFile.problem).toMatch(/is a FIFO and is ignored/)
})

test('a link named kill is not followed: neither to a device nor to a file', async () => {
  for (const target of ['/dev/zero', '/etc/hostname']) {
    await symlink(target, file)
    const { killFile } = follow()
    expect(killFile.names).toEqual([])
    expect(killFile.problem).toMatch(/is a link and is ignored/)
    await rm(file)
  }
})

test('a folder named kill and a kill file of more than 64 KiB are refused and reported', async () => {
  await mkdir(file)
  expect(follow().killFile.problem).toMatch(/is a folder and is ignored/)
  await rm(file, { recursive: true })
  await writeFile(file, 'x\n'.repeat(40_000))
  const { killFile } = follow()
  expect(killFile.problem).toMatch(/at most 65536 bytes/)
  expect(killFile.names).toEqual([])
})

test('killHere works at once, without a moment in which it does not, and outlives the process', async () => {
  const { killFile, heard } = follow()
  killFile.killHere('anna')
  expect(killFile.names).toEqual(['*'])
  look()
  await until(async () => (await readdir(folder)).includes('kill.all'))
  expect((await stat(`${file}.all`)).mode & 0o777).toBe(0o600)
  expect(await readFile(`${file}.all`, 'utf8')).toBe('killed by anna\n')
  expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([])
  await written()
  look()
  expect(heard).toEqual([{ names: ['*'], by: 'anna', reason: null }])
  expect(follow().killFile.names).toEqual(['*'])
})

test('killHere is about everything, also where a file names some', async () => {
  await writeFile(file, 'catalog')
  const { killFile, heard } = follow()
  killFile.killHere('signal')
  await written()
  look()
  expect(killFile.names).toEqual(['*'])
  expect(heard).toEqual([{ names: ['*'], by: 'signal', reason: null }])
})

test('killHere works where nothing can be written, and is taken back all the same', async () => {
  const { killFile, heard } = follow(join(folder, 'not', 'there'))
  killFile.killHere('signal')
  await written(join(folder, 'not', 'there'))
  look()
  expect(killFile.names).toEqual(['*'])
  expect(await killFile.reviveHere('bob')).toBeUndefined()
  expect(killFile.names).toEqual([])
  await written()
  look()
  expect(heard).toEqual([
    { names: ['*'], by: 'signal', reason: null },
    { names: [], by: 'bob', reason: null },
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
  expect(killFile.names).toEqual(['catalog'])
})

test('reviveHere takes the file away, and is in force when it says so', async () => {
  await writeFile(file, 'catalog')
  const { killFile, heard } = follow()
  expect(await killFile.reviveHere('bob', 'mended')).toBeUndefined()
  expect(killFile.names).toEqual([])
  expect(await readdir(folder)).toEqual([])
  expect(heard).toEqual([{ names: [], by: 'bob', reason: 'mended' }])
})

test('reviveHere right after killHere leaves no file behind', async () => {
  const { killFile } = follow()
  killFile.killHere('anna')
  await killFile.reviveHere('bob')
  await written()
  look()
  expect(killFile.names).toEqual([])
  expect(await readdir(folder)).not.toContain('kill.all')
})

test('once the disk has taken it, removing the file by hand revives', async () => {
  const { killFile } = follow()
  killFile.killHere('anna')
  await until(async () => (await readdir(folder)).includes('kill.all'))
  await rm(`${file}.all`)
  await until(() => {
    look()
    return killFile.names.length === 0
  })
})

test('a file that cannot be taken away is still in force, and it is said why', async () => {
  await mkdir(join(`${file}.all`, 'not-empty'), { recursive: true })
  const { killFile } = follow()
  expect(await killFile.reviveHere('bob')).toMatch(/kill\.all cannot be removed \(.+\): remove it by hand/)
  expect(killFile.names).toEqual(['*'])
})

test('reviveHere without anything to revive is nothing', async () => {
  const { killFile, heard } = follow()
  expect(await killFile.reviveHere('bob')).toBeUndefined()
  expect(heard).toEqual([])
})

test('a stopped one looks no more', async () => {
  const { killFile, heard } = follow()
  killFile.stop()
  await writeFile(`${file}.all`, '')
  await written()
  look()
  expect(heard).toEqual([])
})
