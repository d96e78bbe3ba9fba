// Temporary files that a killed process has left.
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isMissing } from '../../lib/file-errors.ts'

/** A younger file may belong to a running process, which is about to rename it. */
const STALE_FILE_MS = 10_000

/** Removes the stale files of a folder whose names match. */
export async function removeStaleFiles(folder: string, names: RegExp = /\.tmp$/): Promise<void> {
  for (const name of await listFolder(folder)) {
    const path = join(folder, name)
    if (names.test(name) && (await isStale(path))) await rm(path, { force: true })
  }
}

/** The names in a folder; empty if the folder does not exist. */
export async function listFolder(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (isMissing(error)) return []
    throw error
  })
}

async function isStale(path: string): Promise<boolean> {
  const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }))
  return Date.now() - mtimeMs > STALE_FILE_MS
}
