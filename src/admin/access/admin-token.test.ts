import { timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createFileTokenCheck, createTokenCheck } from './admin-token.ts'

vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>()
  return { ...crypto, timingSafeEqual: vi.fn(crypto.timingSafeEqual) }
})

const GOOD = `${'x'.repeat(31)}y`

async function folder() {
  const path = await mkdtemp(join(tmpdir(), 'strangler-token-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return { path, file: join(path, 'state', 'admin-token') }
}

/** A folder with this in its token's file. */
async function folderWith(text: string | Buffer, mode = 0o600) {
  const { path, file } = await folder()
  await mkdir(join(path, 'state'))
  await writeFile(file, text, { mode })
  await chmod(file, mode)
  return file
}

function tokenFile(file: string) {
  const created: { file: string; token: string }[] = []
  const notKept: { file: string; error: unknown }[] = []
  let now = 0
  const events = {
    adminTokenCreated: (facts: { file: string; isKept: boolean }) => {
      // The event reaches the log, so it must not carry the token.
      expect(Object.keys(facts)).toEqual(['file', 'isKept'])
      created.push({ file: facts.file, token: facts.isKept ? readFileSync(facts.file, 'utf8').trim() : '' })
    },
    stateNotSaved: (facts: { file: string; error: unknown }) => void notKept.push(facts),
  }
  const showOnTerminal = (sentence: string) => {
    const token = sentence.split(' ').at(-1) ?? ''
    created.push({ file: created.pop()?.file ?? '', token })
  }
  const start = () => createFileTokenCheck(join(file, '..'), events, () => now, showOnTerminal)
  return { created, notKept, start, pass: (ms: number) => (now += ms) }
}

const modeOf = async (file: string) => (await stat(file)).mode & 0o777

describe('a token of the configuration', () => {
  test.each(['', 'X', `${GOOD} `, GOOD.slice(1), `${GOOD}x`, GOOD.toUpperCase(), `${GOOD}\0`])(
    'is not %j',
    async (text) => {
      expect(await createTokenCheck(GOOD)(text)).toBe(false)
    },
  )

  test('is accepted', async () => {
    expect(await createTokenCheck(GOOD)(GOOD)).toBe(true)
  })

  // The attack: who measures how long a comparison takes learns the token letter by letter.
  test.each(['', 'x', `${GOOD.slice(0, 31)}z`, GOOD])('is compared with %j in constant time', async (text) => {
    const isToken = createTokenCheck(GOOD)
    vi.mocked(timingSafeEqual).mockClear()
    await isToken(text)
    expect(vi.mocked(timingSafeEqual).mock.calls.map((both) => both.map(({ byteLength }) => byteLength))).toEqual([
      [32, 32],
    ])
  })
})

describe('the token that the gateway creates', () => {
  test('is created once, and only its owner can read the file', async () => {
    const { file } = await folder()
    const first = tokenFile(file)
    const isToken = await first.start()
    const token = (await readFile(file, 'utf8')).trim()
    expect(token).toMatch(/^[\w-]{43}$/)
    expect(await modeOf(file)).toBe(0o600)
    expect(await modeOf(join(file, '..'))).toBe(0o700)
    expect(first.created).toEqual([{ file, token }])
    expect([await isToken(token), await isToken(`${token}x`)]).toEqual([true, false])

    const second = tokenFile(file)
    expect(await (await second.start())(token)).toBe(true)
    expect(second.created).toEqual([])
    expect(await readdir(join(file, '..'))).toEqual(['admin-token'])
  })

  test('is the same for gateways that start at the same time with one folder', async () => {
    const { file } = await folder()
    const tokenFiles = Array.from({ length: 8 }, () => tokenFile(file))
    const checks = await Promise.all(tokenFiles.map(({ start }) => start()))
    const token = (await readFile(file, 'utf8')).trim()
    expect(await Promise.all(checks.map((isToken) => isToken(token)))).toEqual(Array(8).fill(true))
    expect(tokenFiles.flatMap(({ created }) => created)).toEqual([{ file, token }])
  })

  test('becomes unreadable for other users if they could read its file', async () => {
    const file = await folderWith(`${GOOD}\n`, 0o644)
    const { start, created } = tokenFile(file)
    expect(await (await start())(GOOD)).toBe(true)
    expect(await modeOf(file)).toBe(0o600)
    expect(created).toEqual([])
  })

  test.each<[string, string | Buffer]>([
    ['an empty file', ''],
    ['a line break', '\n'],
    ['too few characters', 'x'.repeat(31)],
    ['binary content', Buffer.from(Array.from({ length: 64 }, (_, i) => (i * 37) % 256))],
    ['two lines', `${GOOD}\n${GOOD}\n`],
    ['words', 'the quick brown fox jumps over the lazy dog'],
    ['characters that a header cannot carry', 'ü'.repeat(40)],
    ['more characters than a head can hold', 'x'.repeat(5000)],
  ])('replaces a file with %s', async (_, text) => {
    const file = await folderWith(text)
    const { start, created } = tokenFile(file)
    const isToken = await start()
    const token = (await readFile(file, 'utf8')).trim()
    expect(created).toEqual([{ file, token }])
    expect(await isToken(token)).toBe(true)
    expect(await isToken(String(text).trim())).toBe(false)
    expect(await modeOf(file)).toBe(0o600)
  })

  test('is replaced within a second after its file was deleted', async () => {
    const { file } = await folder()
    const { start, created, pass } = tokenFile(file)
    const isToken = await start()
    await rm(file)
    pass(1001)
    expect(await isToken(created[0]?.token ?? '')).toBe(false)
    expect(created).toHaveLength(2)
    expect(await isToken(created[1]?.token ?? '')).toBe(true)
  })

  test('stays valid while its file cannot be read', async () => {
    const { file } = await folder()
    const { start, created, pass } = tokenFile(file)
    const isToken = await start()
    await rm(file)
    await mkdir(file)
    pass(1001)
    expect(await isToken(created[0]?.token ?? '')).toBe(true)
    expect(created).toHaveLength(1)
  })

  test('lasts as long as the process if it cannot be stored, and the log reports that', async () => {
    const { path } = await folder()
    const inTheWay = join(path, 'file')
    await writeFile(inTheWay, '')
    const { start, created, notKept } = tokenFile(join(inTheWay, 'admin-token'))
    const isToken = await start()
    expect(notKept).toHaveLength(1)
    expect(await isToken(created[0]?.token ?? '')).toBe(true)
  })
})
