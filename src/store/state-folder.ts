// Whether the disk takes writes of the state folder: every part that writes there reports its failures here.
import { statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../model/ports.ts'
import type { StateFolderStatus } from '../model/state-folder.ts'
import { makeFolder, writeBeside } from './replace-file.ts'

export type StateFolder = {
  /** A write failed. An error that does not come from the disk is ignored. @param error or one that has it as a cause */
  readonly failed: (error: unknown) => void
  /** Runs a write and reports its failure. @throws what the write throws */
  readonly writing: <T>(write: () => Promise<T>) => Promise<T>
  readonly status: () => StateFolderStatus
  readonly close: () => void
}

export type StateFolderOptions = {
  readonly folder: string
  readonly clock: Clock
  /** Called once for each time that the folder cannot be written. */
  readonly onFailed: (error: Error) => void
  /** Called when it can be written again. @param afterMs milliseconds since it could not */
  readonly onRecovered: (afterMs: number) => void
}

/** Of a disk that is full, read-only or broken, and of a quota or limit that is reached. */
const DISK_CODES: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EFBIG'])
/** They can also come from one file alone, or from a read: a trial write decides. */
const PERMISSION_CODES: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'ENOTDIR'])
const RETRY_MS = 1000
/** More than one small file needs: a disk with a few free bytes is full. */
const TRIAL_BYTES = 64 * 1024

/** After a failed write, a trial write each second finds out whether the folder can be written again. */
export function followStateFolder({ folder, clock, onFailed, onRecovered }: StateFolderOptions): StateFolder {
  let failure: { readonly error: NodeJS.ErrnoException; readonly since: number; readonly start: number } | undefined
  let timer: NodeJS.Timeout | undefined
  let isTrying = false
  let isClosed = false

  return { failed, writing, status, close }

  function failed(error: unknown): void {
    const cause = diskErrorIn(error)
    if (cause === undefined || isClosed) return
    if (DISK_CODES.has(cause.code as string)) fail(cause)
    else if (failure === undefined) void tryWrite()
  }

  async function writing<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write()
    } catch (error) {
      failed(error)
      throw error
    }
  }

  function fail(error: NodeJS.ErrnoException): void {
    if (isClosed) return
    const isNew = failure === undefined
    failure ??= { error, since: clock.wallTime(), start: clock.now() }
    timer ??= setTimeout(tryWrite, RETRY_MS).unref()
    if (isNew) onFailed(error)
  }

  async function tryWrite(): Promise<void> {
    if (isTrying) return
    isTrying = true
    clearTimeout(timer)
    timer = undefined
    try {
      await makeFolder(folder)
      await rm(await writeBeside(join(folder, 'trial'), '\n'.repeat(TRIAL_BYTES)))
      recover()
    } catch (error) {
      fail(error as NodeJS.ErrnoException)
    } finally {
      isTrying = false
    }
  }

  function recover(): void {
    if (failure === undefined) return
    const { start } = failure
    failure = undefined
    onRecovered(clock.now() - start)
  }

  function status(): StateFolderStatus {
    const isWritable = failure === undefined
    const { error, since } = failure ?? {}
    return {
      location: folder,
      isWritable,
      trouble: error?.message,
      code: error?.code,
      since,
      openMode: openModeOf(folder),
    }
  }

  function close(): void {
    isClosed = true
    clearTimeout(timer)
  }
}

const WRITE_BY_OTHERS = 0o022

/** A user who can write there can replace the admin token and the state, and send all traffic to legacy. */
function openModeOf(folder: string): string | undefined {
  if (process.platform === 'win32') return undefined
  try {
    const mode = statSync(folder).mode & 0o7777
    return (mode & WRITE_BY_OTHERS) === 0 ? undefined : mode.toString(8).padStart(4, '0')
  } catch {
    return undefined
  }
}

function diskErrorIn(error: unknown): NodeJS.ErrnoException | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code = '' } = cause as NodeJS.ErrnoException
    if (DISK_CODES.has(code) || PERMISSION_CODES.has(code)) return cause
  }
  return undefined
}
