// Reads the kill file of a state folder, which any user may have put there.
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats } from 'node:fs'
import { EVERYTHING } from './controls.ts'

type KillFileContent =
  | { readonly names: readonly string[]; readonly problem?: string }
  /** The content is rejected: the last valid content stays in force. */
  | { readonly problem: string }

const MAX_BYTES = 64 * 1024

/** Opens only a regular file of bounded size: a FIFO would block the process, and a link or a device can be anything. */
export function readKillFile(file: string): KillFileContent {
  try {
    const stats = lstatSync(file, { throwIfNoEntry: false })
    if (stats === undefined) return { names: [] }
    if (!stats.isFile()) return { problem: `${file} is ${kindOf(stats)} and is ignored: ${HOW_TO_KILL}` }
    const text = readRegularFile(file)
    if (text === undefined)
      return { problem: `${file} is not a regular file of at most ${MAX_BYTES} bytes: replace it` }
    const names = text
      .split('\n')
      .map((line) => line.trim())
      .filter((name) => name !== '')
    if (names.length === 0) return { problem: `${file} is empty and is ignored: ${HOW_TO_KILL}` }
    return { names }
  } catch (error) {
    return contentAfterError(file, error as NodeJS.ErrnoException)
  }
}

/** Whether an entry of any kind has this name. Nothing is opened. */
export function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

function contentAfterError(file: string, { code, message }: NodeJS.ErrnoException): KillFileContent {
  // ENOTDIR: the state folder itself is not a folder, and contains no kill file.
  if (code === 'ENOENT' || code === 'ENOTDIR') return { names: [] }
  if (code === 'ELOOP') return { problem: `${file} is a link and is ignored: ${HOW_TO_KILL}` }
  // The file exists and cannot be read, perhaps for lack of file descriptors. Its author wanted fewer requests on services.
  return {
    names: [EVERYTHING],
    problem: `${file} cannot be read (${message}): everything goes to legacy until it can`,
  }
}

/** @returns undefined if it is not a regular file when it is open, or too long */
function readRegularFile(file: string): string | undefined {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  try {
    const stats = fstatSync(descriptor)
    if (!stats.isFile() || stats.size > MAX_BYTES) return undefined
    const bytes = Buffer.alloc(MAX_BYTES)
    return bytes.toString('utf8', 0, readSync(descriptor, bytes, 0, MAX_BYTES, 0))
  } finally {
    closeSync(descriptor)
  }
}

function kindOf(stats: Stats): string {
  return KINDS.find(([isKind]) => isKind(stats))?.[1] ?? 'not a regular file'
}

const KINDS: readonly (readonly [(stats: Stats) => boolean, string])[] = [
  [(stats) => stats.isFIFO(), 'a FIFO'],
  [(stats) => stats.isSymbolicLink(), 'a link'],
  [(stats) => stats.isDirectory(), 'a folder'],
  [(stats) => stats.isSocket(), 'a socket'],
  [(stats) => stats.isCharacterDevice() || stats.isBlockDevice(), 'a device'],
]

const HOW_TO_KILL = 'write context names into a file of that name, or create kill.all to send everything to legacy'
