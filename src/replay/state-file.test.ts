import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { NO_PROGRESS, type Progress } from './progress.ts'
import { checkState, type RunIdentity, readState, StateFile } from './state-file.ts'

const IDENTITY: RunIdentity = { bytes: 10, digest: 'd', config: 'c', choices: 'x' }

function progressThrough(through: number): Progress {
  return { ...NO_PROGRESS, startedAt: 1, through }
}

function stateFile(file: string, progress: () => Progress): StateFile {
  return new StateFile({ file, identity: IDENTITY, progress })
}

async function temporaryFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strangler-state-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return join(folder, 's')
}

describe('the state file of a replay', () => {
  it('returns the saved run, and undefined before the first save and after its removal', async () => {
    const file = await temporaryFile()
    expect(await readState(file)).toBeUndefined()
    const state = stateFile(file, () => progressThrough(7))
    await state.save()
    expect(await readState(file)).toEqual({ of: IDENTITY, progress: progressThrough(7) })
    await state.remove()
    await state.remove()
    expect(await readState(file)).toBeUndefined()
  })

  it('has the progress at the time of each save on disk when the save resolves, and combines simultaneous saves', async () => {
    const file = await temporaryFile()
    let through = 0
    let writes = 0
    const state = stateFile(file, () => {
      writes++
      return progressThrough(through)
    })
    const save = async () => {
      const saved = ++through
      await state.save()
      expect((await readState(file))!.progress.through).toBeGreaterThanOrEqual(saved)
    }
    await Promise.all(Array.from({ length: 50 }, save))
    const staggered = Array.from({ length: 30 }, async (_, i) => {
      for (let turns = i; turns > 0; turns--) await Promise.resolve()
      await save()
    })
    await Promise.all(staggered)
    expect(writes).toBeLessThan(20)
    expect(await readdir(join(file, '..'))).toEqual(['s'])
  })

  it('is rejected with advice if it is broken or of another version', async () => {
    const file = await temporaryFile()
    await stateFile(file, () => progressThrough(7)).save()
    const text = await readFile(file, 'utf8')
    for (const broken of [
      '',
      '{}',
      text.replace('"through":7', '"through":8'),
      text.replace('replay 1', 'replay 2'),
      text.slice(0, -20),
    ]) {
      await writeFile(file, broken)
      await expect(readState(file)).rejects.toThrow(/is not a state file of this version; --fresh starts again/)
    }
  })

  it.each([
    [{ bytes: 11 }, 'another recording'],
    [{ digest: 'e' }, 'another recording'],
    [{ config: 'e' }, 'another config'],
    [{ choices: 'e' }, 'other contexts, hosts or credentials'],
  ])('is rejected if the saved run differs by %j: it belongs to a run with %s', (difference, words) => {
    const expected = `s belongs to a run with ${words}, `
    expect(() => checkState('s', IDENTITY, { ...IDENTITY, ...difference })).toThrow(expected)
    expect(() => checkState('s', IDENTITY, IDENTITY)).not.toThrow()
  })
})
