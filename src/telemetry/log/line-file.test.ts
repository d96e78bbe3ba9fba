import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { LineFile } from './line-file.ts'

let folder: string
let open: LineFile[]
let troubles: (Error | undefined)[]

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lines-'))
  open = []
  troubles = []
})
afterEach(async () => {
  for (const file of open) await file.close()
  rmSync(folder, { recursive: true })
})

function make(to: string, batchBytes?: number): LineFile {
  const onTrouble = (error: Error | undefined) => void troubles.push(error)
  const file = new LineFile({ to, onTrouble, ...(batchBytes !== undefined && { batchBytes }) })
  open.push(file)
  return file
}

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 5000
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never came true: ${holds}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `line ${i}\n`)
const read = (path: string) => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

test('a line is written within a second, without closing the file', async () => {
  const path = join(folder, 'deep/er/access.log')
  make(path).write('hello\n')
  const begun = performance.now()
  await until(() => read(path) === 'hello\n')
  expect(performance.now() - begun).toBeLessThan(1000)
})

test('many lines are written once and in order', async () => {
  const path = join(folder, 'access.log')
  const file = make(path)
  const lines = numbered(100_000)
  for (const line of lines) file.write(line)
  await file.close()
  expect(read(path)).toBe(lines.join(''))
  expect(file.lost()).toBe(0)
})

test('an existing file is appended to', async () => {
  const path = join(folder, 'access.log')
  writeFileSync(path, 'before\n')
  const file = make(path)
  file.write('after\n')
  await file.close()
  expect(read(path)).toBe('before\nafter\n')
})

test('after a rotation and reopen, lines go to the new file and no line is lost', async () => {
  const path = join(folder, 'access.log')
  const file = make(path)
  file.write('one\n')
  await until(() => read(path) === 'one\n')
  renameSync(path, `${path}.1`)
  file.reopen()
  file.write('two\n')
  await until(() => read(path) === 'two\n')
  expect(read(`${path}.1`)).toBe('one\n')
  expect(file.lost()).toBe(0)
})

test('a full disk loses only the lines of that time, which are counted and reported once', async () => {
  const path = join(folder, 'access.log')
  symlinkSync('/dev/full', path)
  const file = make(path, 10)
  for (let i = 0; i < 1000; i++) {
    file.write('lost\n')
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await until(() => file.lost() === 1000)
  expect(troubles).toHaveLength(1)
  expect(String(troubles[0])).toContain('ENOSPC')
  unlinkSync(path)
  file.reopen()
  file.write('kept\n')
  await until(() => read(path) === 'kept\n')
  await until(() => troubles.length === 2)
  expect(troubles[1]).toBeUndefined()
  expect(file.lost()).toBe(1000)
})

test('a path that cannot be opened is tried again until it can be opened', async () => {
  const path = join(folder, 'access.log')
  mkdirSync(path)
  const file = make(path)
  file.write('waits\n')
  await until(() => troubles.length === 1)
  rmdirSync(path)
  await until(() => read(path) === 'waits\n')
  expect(file.lost()).toBe(0)
})

test('a path that can never be opened uses a limited memory, and does not block closing', async () => {
  const file = make(join(folder, 'x\0y'))
  const line = `${'x'.repeat(1023)}\n`
  for (let i = 0; i < 40_000; i++) file.write(line)
  expect(file.lost()).toBeGreaterThan(20_000)
  const begun = performance.now()
  await file.close()
  expect(performance.now() - begun).toBeLessThan(2500)
  expect(file.lost()).toBe(40_000)
})

test('a pipe without a reader blocks neither the gateway nor its end', async () => {
  const path = join(folder, 'pipe')
  execFileSync('mkfifo', [path])
  const file = make(path)
  file.write('unheard\n')
  const begun = performance.now()
  await file.close()
  expect(performance.now() - begun).toBeLessThan(2500)
  expect(file.lost()).toBe(1)
})

test('flushSync writes the waiting lines', () => {
  const path = join(folder, 'access.log')
  const file = make(path)
  file.write('last words\n')
  file.flushSync()
  expect(read(path)).toBe('last words\n')
})

test('a line after close is counted as lost and throws no error', async () => {
  const file = make(join(folder, 'access.log'))
  await file.close()
  file.write('late\n')
  expect(file.lost()).toBe(1)
})
