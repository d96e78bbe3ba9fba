import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { FolderLock, FolderTaken } from './folder-lock.ts'

/** An action that runs once, right before a link to this path is created. */
let meanwhile: { readonly to: string; readonly doing: () => Promise<void> } | undefined
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>()
  return {
    ...real,
    link: async (from: string, to: string) => {
      const { doing } = meanwhile?.to === to ? meanwhile : {}
      if (doing !== undefined) meanwhile = undefined
      await doing?.()
      await real.link(from, to)
    },
  }
})

const UNUSED_PID = 2 ** 22 + 1
const dead = (token: string) => JSON.stringify({ pid: UNUSED_PID, started: '1', host: hostname(), token })

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'strangler-lock-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function takenBy(contenders: number): Promise<FolderLock[]> {
  const tries = await Promise.allSettled(Array.from({ length: contenders }, () => FolderLock.take(folder)))
  for (const attempt of tries) if (attempt.status === 'rejected') expect(attempt.reason).toBeInstanceOf(FolderTaken)
  return tries.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []))
}

test.each([
  ['of a process that is dead', dead('x')],
  ['that is not valid JSON', '{'],
])('exactly one of eight concurrent processes gets a folder with a lock %s', async (_, content) => {
  for (let round = 0; round < 40; round++) {
    await writeFile(join(folder, 'lock'), content)
    const taken = await takenBy(8)
    expect(taken, `round ${round}`).toHaveLength(1)
    expect(await taken[0]?.isOurs()).toBe(true)
    expect(await readdir(folder)).toEqual(['lock'])
    await taken[0]?.release()
  }
})

test('a process that has read a dead lock does not remove the lock that another process has taken since', async () => {
  await writeFile(join(folder, 'lock'), dead('x'))
  const first: FolderLock[] = []
  meanwhile = {
    to: join(folder, 'lock.x.dead'),
    doing: async () => void first.push(await FolderLock.take(folder)),
  }
  await expect(FolderLock.take(folder)).rejects.toThrow(FolderTaken)
  expect(await first[0]?.isOurs()).toBe(true)
  expect(await readdir(folder)).toEqual(['lock'])
})

test('a process that died while it removed a dead lock does not block the others', async () => {
  await writeFile(join(folder, 'lock'), dead('x'))
  await writeFile(join(folder, 'lock.x.dead'), dead('y'))
  await writeFile(join(folder, 'lock.x.dead.y.dead'), dead('z'))
  expect(await takenBy(3)).toHaveLength(1)
  expect(await readdir(folder)).toEqual(['lock'])
})
