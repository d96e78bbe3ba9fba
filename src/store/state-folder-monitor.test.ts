import { mkdtemp, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { StateFolderMonitor } from './state-folder-monitor.ts'

const clock = { now: () => performance.now(), wallTime: () => Date.now() }

async function folderToFollow(below = '.') {
  const parent = await mkdtemp(join(tmpdir(), 'state-folder-'))
  const events: string[] = []
  const folder = new StateFolderMonitor({
    folder: join(parent, below),
    clock,
    onFailed: () => void events.push('failed'),
    onRecovered: () => void events.push('recovered'),
  })
  onTestFinished(() => folder.close())
  return { folder, parent, events }
}

const errorOf = (code: string) => Object.assign(new Error(`${code}: a write failed`), { code })

describe('the state folder', () => {
  it.each(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EFBIG'])(
    'is not writable from %s, also as a cause, until a trial write succeeds, which leaves no file',
    async (code) => {
      const { folder, parent, events } = await folderToFollow()
      folder.reportFailure(new Error('a file cannot be kept', { cause: errorOf(code) }))
      folder.reportFailure(errorOf(code))
      expect(folder.status()).toMatchObject({ isWritable: false, code, trouble: `${code}: a write failed` })
      expect(folder.status().since).toBeLessThanOrEqual(Date.now())
      await vi.waitUntil(() => events.includes('recovered'), 5000)
      expect(folder.status()).toMatchObject({ isWritable: true, code: undefined, since: undefined })
      expect(events).toEqual(['failed', 'recovered'])
      expect(await readdir(parent)).toEqual([])
    },
  )

  it('is not writable where a trial write confirms that its path is not a folder', async () => {
    const { folder, parent, events } = await folderToFollow('file/state')
    await writeFile(join(parent, 'file'), '')
    folder.reportFailure(errorOf('ENOTDIR'))
    await vi.waitUntil(() => events.includes('failed'), 5000)
    expect(folder.status()).toMatchObject({ isWritable: false, code: 'ENOTDIR' })
  })

  it('stays writable after an error that does not come from its disk', async () => {
    const { folder, events } = await folderToFollow()
    folder.reportFailure(errorOf('EMFILE'))
    folder.reportFailure(new Error('the store is closed'))
    expect(folder.status().isWritable).toBe(true)
    expect(events).toEqual([])
  })
})
