import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { FolderLock, FolderTaken } from './folder-lock.ts'

/** What happens right before a link is made, once. */
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

const NOBODY = 2 ** 22 + 1
const dead = (token: string) => JSON.stringify({ pid: NOBODY, started: '1', host: hostname(), token })

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'strangler-lock-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function takenBy(contenders: number): Promise<FolderLock[]> {
  const tries = await Promise.allSettled(Array.from({ length: contenders }, () => FolderLock.take(folder)))
  for (const one of tries) if (one.status === 'rejected') expect(one.reason).toBeInstanceOf(FolderTaken)
  return tries.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
}

test.each([
  ['of a process that is dead', dead('x')],
  ['that nobody can read', '{'],
])('of eight who find a lock %s, one has it, whoever is overtaken meanwhile', async (_, found) => {
  for (let round = 0; round < 40; round++) {
    await writeFile(join(folder, 'lock'), found)
    const taken = await takenBy(8)
    expect(taken, `round ${round}`).toHaveLength(1)
    expect(await taken[0]?.isOurs()).toBe(true)
    expect(await readdir(folder)).toEqual(['lock'])
    await taken[0]?.release()
  }
})

test('whoever is overtaken between seeing a dead lock and claiming it leaves alone what is there since', async () => {
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

test('whoever died while taking the lock of a dead one out of the way holds up nobody', async () => {
  await writeFile(join(folder, 'lock'), dead('x'))
  await writeFile(join(folder, 'lock.x.dead'), dead('y'))
  await writeFile(join(folder, 'lock.x.dead.y.dead'), dead('z'))
  expect(await takenBy(3)).toHaveLength(1)
  expect(await readdir(folder)).toEqual(['lock'])
})
