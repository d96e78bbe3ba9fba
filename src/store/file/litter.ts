// What a process that was killed in the middle of a write has left.
import { readdir, stat } from 'node:fs/promises'
import { isMissing } from '../../lib/file-errors.ts'

/** Younger than that it may be about to be renamed. */
export const LITTER_MS = 10_000

export async function isLitter(path: string): Promise<boolean> {
  if (!path.endsWith('.tmp')) return false
  const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }))
  return Date.now() - mtimeMs > LITTER_MS
}

/** None where there is no such folder. */
export async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (isMissing(error)) return []
    throw error
  })
}
