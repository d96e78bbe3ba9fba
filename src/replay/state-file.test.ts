import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { checkState, createStateFile, type RunOf, readState } from './state-file.ts'
import { NO_PROGRESS, type Progress } from './progress.ts'

const OF: RunOf = { bytes: 10, digest: 'd', config: 'c', choices: 'x' }

function progress(through: number): Progress {
  return { ...NO_PROGRESS, startedAt: 1, through }
}

async function place(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-state-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 's')
}

it('gives back what was saved, and nothing where nothing was', async () => {
  const file = await place()
  expect(await readState(file)).toBeUndefined()
  const state = createStateFile(file, OF, () => progress(7))
  await state.save()
  expect(await readState(file)).toEqual({ of: OF, progress: progress(7) })
  await state.remove()
  await state.remove()
  expect(await readState(file)).toBeUndefined()
})

it('has on the disk what was there when it was asked to save, and saves once for many', async () => {
  const file = await place()
  let through = 0
  let written = 0
  const state = createStateFile(file, OF, () => {
    written++
    return progress(through)
  })
  const save = async () => {
    const mine = ++through
    await state.save()
    expect((await readState(file))!.progress.through).toBeGreaterThanOrEqual(mine)
  }
  await Promise.all(Array.from({ length: 50 }, save))
  const again = Array.from({ length: 30 }, async (_, i) => {
    for (let turns = i; turns > 0; turns--) await Promise.resolve()
    await save()
  })
  await Promise.all(again)
  expect(written).toBeLessThan(20)
  expect(await readdir(join(file, '..'))).toEqual(['s'])
})

it('that is broken, or of another version, is refused with what to do', async () => {
  const file = await place()
  await createStateFile(file, OF, () => progress(7)).save()
  const text = await readFile(file, 'utf8')
  for (const other of [
    '',
    '{}',
    text.replace('"through":7', '"through":8'),
    text.replace('replay 1', 'replay 2'),
    text.slice(0, -20),
  ]) {
    await writeFile(file, other)
    await expect(readState(file)).rejects.toThrow(
      /is not what a run has written, or of another version; --fresh starts anew/,
    )
  }
})

it.each([
  [{ bytes: 11 }, 'another recording'],
  [{ digest: 'e' }, 'another recording'],
  [{ config: 'e' }, 'another config'],
  [{ choices: 'e' }, 'other contexts, hosts or credentials'],
])('of a run with %j is of %s', (other, words) => {
  expect(() => checkState('s', OF, { ...OF, ...other })).toThrow(`s is of a run over ${words}: `)
  expect(() => checkState('s', OF, OF)).not.toThrow()
})
