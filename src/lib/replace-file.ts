// Writing files so that a crash or a power cut leaves the old content or the new content, never a part of it.
import { randomUUID } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** For the owner only: the state names operators and their changes. */
const FILE_MODE = 0o600
const FOLDER_MODE = 0o700

/**
 * Creates a file or replaces its content; creates its folder. When it resolves, the new content survives a power cut.
 *
 * @throws the error of the file system; the old content is then unchanged
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  await createFolder(dirname(path))
  await renameNewContent(path, text)
  await syncFolder(dirname(path))
}

/** Replaces the content of a file whose folder exists. A power cut can still undo it, until {@link syncFolder} resolves. */
export async function renameNewContent(path: string, text: string): Promise<void> {
  const temporaryFile = await writeTemporaryFile(path, text)
  try {
    await rename(temporaryFile, path)
  } catch (error) {
    await rm(temporaryFile, { force: true }).catch(() => {})
    throw error
  }
}

/** Writes a file beside `path` and syncs it to the disk. @returns its path, which ends with `.tmp` */
export async function writeTemporaryFile(path: string, text: string): Promise<string> {
  const temporaryFile = `${path}.${randomUUID()}.tmp`
  try {
    const file = await open(temporaryFile, 'wx', FILE_MODE)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    return temporaryFile
  } catch (error) {
    await rm(temporaryFile, { force: true }).catch(() => {})
    throw error
  }
}

export async function createFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
}

/** A rename survives a power cut once its folder is synced to the disk. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
