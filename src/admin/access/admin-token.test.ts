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

function keeper(file: string) {
  const made: { file: string; token: string }[] = []
  const notKept: { file: string; error: unknown }[] = []
  let now = 0
  const events = {
    adminTokenCreated: (facts: { file: string; isKept: boolean }) => {
      // The event reaches the log, so it must not carry the token.
      expect(Object.keys(facts)).toEqual(['file', 'isKept'])
      made.push({ file: facts.file, token: facts.isKept ? readFileSync(facts.file, 'utf8').trim() : '' })
    },
    stateNotSaved: (facts: { file: string; error: unknown }) => void notKept.push(facts),
  }
  const showOnTerminal = (sentence: string) => {
    const token = sentence.split(' ').at(-1) ?? ''
    made.push({ file: made.pop()?.file ?? '', token })
  }
  const start = () => createFileTokenCheck(join(file, '..'), events, () => now, showOnTerminal)
  return { made, notKept, start, pass: (ms: number) => (now += ms) }
}

const modeOf = async (file: string) => (await stat(file)).mode & 0o777

describe('a given token', () => {
  test.each(['', 'X', `${GOOD} `, GOOD.slice(1), `${GOOD}x`, GOOD.toUpperCase(), `${GOOD}\0`])(
    'is not %j',
    async (text) => {
      expect(await createTokenCheck(GOOD)(text)).toBe(false)
    },
  )

  test('is itself', async () => {
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

describe('a token that the gateway makes', () => {
  test('is made once, and readable by its owner alone', async () => {
    const { file } = await folder()
    const first = keeper(file)
    const isToken = await first.start()
    const token = (await readFile(file, 'utf8')).trim()
    expect(token).toMatch(/^[\w-]{43}$/)
    expect(await modeOf(file)).toBe(0o600)
    expect(await modeOf(join(file, '..'))).toBe(0o700)
    expect(first.made).toEqual([{ file, token }])
    expect([await isToken(token), await isToken(`${token}x`)]).toEqual([true, false])

    const second = keeper(file)
    expect(await (await second.start())(token)).toBe(true)
    expect(second.made).toEqual([])
    expect(await readdir(join(file, '..'))).toEqual(['admin-token'])
  })

  test('is the same for gateways that start at once with one folder', async () => {
    const { file } = await folder()
    const keepers = Array.from({ length: 8 }, () => keeper(file))
    const checks = await Promise.all(keepers.map(({ start }) => start()))
    const token = (await readFile(file, 'utf8')).trim()
    expect(await Promise.all(checks.map((isToken) => isToken(token)))).toEqual(Array(8).fill(true))
    expect(keepers.flatMap(({ made }) => made)).toEqual([{ file, token }])
  })

  test('is taken from others who could read it', async () => {
    const file = await folderWith(`${GOOD}\n`, 0o644)
    const { start, made } = keeper(file)
    expect(await (await start())(GOOD)).toBe(true)
    expect(await modeOf(file)).toBe(0o600)
    expect(made).toEqual([])
  })

  test.each<[string, string | Buffer]>([
    ['nothing', ''],
    ['a line end', '\n'],
    ['too few characters', 'x'.repeat(31)],
    ['bytes', Buffer.from(Array.from({ length: 64 }, (_, i) => (i * 37) % 256))],
    ['two lines', `${GOOD}\n${GOOD}\n`],
    ['words', 'the quick brown fox jumps over the lazy dog'],
    ['letters that no header carries', 'ü'.repeat(40)],
    ['more than a head has room for', 'x'.repeat(5000)],
  ])('replaces %s, which nobody could sign in with', async (_, text) => {
    const file = await folderWith(text)
    const { start, made } = keeper(file)
    const isToken = await start()
    const token = (await readFile(file, 'utf8')).trim()
    expect(made).toEqual([{ file, token }])
    expect(await isToken(token)).toBe(true)
    expect(await isToken(String(text).trim())).toBe(false)
    expect(await modeOf(file)).toBe(0o600)
  })

  test('is another once its file was deleted, within a second', async () => {
    const { file } = await folder()
    const { start, made, pass } = keeper(file)
    const isToken = await start()
    await rm(file)
    pass(1001)
    expect(await isToken(made[0]?.token ?? '')).toBe(false)
    expect(made).toHaveLength(2)
    expect(await isToken(made[1]?.token ?? '')).toBe(true)
  })

  test('goes on while its file cannot be read', async () => {
    const { file } = await folder()
    const { start, made, pass } = keeper(file)
    const isToken = await start()
    await rm(file)
    await mkdir(file)
    pass(1001)
    expect(await isToken(made[0]?.token ?? '')).toBe(true)
    expect(made).toHaveLength(1)
  })

  test('lasts as long as the process where it cannot be kept, and that is said', async () => {
    const { path } = await folder()
    const inTheWay = join(path, 'file')
    await writeFile(inTheWay, '')
    const { start, made, notKept } = keeper(join(inTheWay, 'admin-token'))
    const isToken = await start()
    expect(notKept).toHaveLength(1)
    expect(await isToken(made[0]?.token ?? '')).toBe(true)
  })
})
