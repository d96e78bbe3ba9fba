// A file that is there in its old form or in its new one, whenever the power goes.
import { randomUUID } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** For the gateway's own eyes: state names people, and who does what. */
const FILE_MODE = 0o600
const FOLDER_MODE = 0o700

/**
 * Puts a file in the place of another, if there is one, and resolves when a power cut could not undo it. Makes the folder.
 *
 * @throws what the file system says; then the old file is as it was
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  await makeFolder(dirname(path))
  const unfinished = await writeBeside(path, text)
  try {
    await rename(unfinished, path)
  } catch (error) {
    await rm(unfinished, { force: true })
    throw error
  }
  await syncFolder(dirname(path))
}

/** Writes a file that `rename` will put in the place of another; resolves to its name when it is on the disk. */
export async function writeBeside(path: string, text: string): Promise<string> {
  const unfinished = `${path}.${randomUUID()}.tmp`
  try {
    const file = await open(unfinished, 'wx', FILE_MODE)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    return unfinished
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => {})
    throw error
  }
}

export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
}

/** A rename is on the disk when the folder is. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
