// Whether the disk accepts writes of the state folder. Every part of the gateway that writes there reports its failures here.
import { statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createFolder, writeTemporaryFile } from '../lib/replace-file.ts'
import type { Clock } from '../model/ports.ts'
import type { StateFolderStatus } from '../model/state-folder.ts'

type StateFolderMonitorOptions = {
  readonly folder: string
  readonly clock: Clock
  /** The folder cannot be written. Called once for each outage. */
  readonly onFailed: (error: Error) => void
  /** The folder can be written again. @param outageMs milliseconds since it could not */
  readonly onRecovered: (outageMs: number) => void
}

type WriteFailure = {
  readonly error: NodeJS.ErrnoException
  /** Milliseconds since 1970. */
  readonly since: number
  /** The same moment by the monotonic clock. */
  readonly start: number
}

/** The disk is full, read-only or broken, or a quota or a limit is reached. */
const DISK_CODES: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EIO', 'EFBIG'])
/** These can also come from one file alone, or from a read: a trial write decides. */
const PERMISSION_CODES: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'ENOTDIR'])
const RETRY_MS = 1000
/** More than a small file needs: a disk with a few free bytes counts as full. */
const TRIAL_BYTES = 64 * 1024
const WRITE_BY_OTHERS = 0o022

/** After a failed write, a trial write each second detects when the folder can be written again. */
export class StateFolderMonitor {
  readonly #options: StateFolderMonitorOptions
  #failure: WriteFailure | undefined
  #timer: NodeJS.Timeout | undefined
  #isTrying = false
  #isClosed = false

  constructor(options: StateFolderMonitorOptions) {
    this.#options = options
  }

  /** Reports a failed write. Ignores an error that does not come from the disk. @param error or an error that has it as a cause */
  reportFailure(error: unknown): void {
    const cause = findDiskError(error)
    if (cause === undefined || this.#isClosed) return
    if (DISK_CODES.has(cause.code as string)) this.#fail(cause)
    else if (this.#failure === undefined) void this.#tryWrite()
  }

  /** Runs a write and reports its failure. @throws the error of the write */
  async write<Result>(task: () => Promise<Result>): Promise<Result> {
    try {
      return await task()
    } catch (error) {
      this.reportFailure(error)
      throw error
    }
  }

  status(): StateFolderStatus {
    const { folder } = this.#options
    const { error, since } = this.#failure ?? {}
    return {
      location: folder,
      isWritable: this.#failure === undefined,
      trouble: error?.message,
      code: error?.code,
      since,
      openMode: readOpenMode(folder),
    }
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #fail(error: NodeJS.ErrnoException): void {
    if (this.#isClosed) return
    const { clock, onFailed } = this.#options
    this.#timer ??= setTimeout(() => void this.#tryWrite(), RETRY_MS).unref()
    if (this.#failure !== undefined) return
    this.#failure = { error, since: clock.wallTime(), start: clock.now() }
    onFailed(error)
  }

  async #tryWrite(): Promise<void> {
    if (this.#isTrying) return
    this.#isTrying = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    const { folder } = this.#options
    try {
      await createFolder(folder)
      await rm(await writeTemporaryFile(join(folder, 'trial'), '\n'.repeat(TRIAL_BYTES)))
      this.#recover()
    } catch (error) {
      this.#fail(error as NodeJS.ErrnoException)
    } finally {
      this.#isTrying = false
    }
  }

  #recover(): void {
    if (this.#failure === undefined) return
    const { start } = this.#failure
    this.#failure = undefined
    this.#options.onRecovered(this.#options.clock.now() - start)
  }
}

/** A user who can write to the folder can replace the admin token and the state, and so send all traffic to legacy. */
function readOpenMode(folder: string): string | undefined {
  if (process.platform === 'win32') return undefined
  try {
    const mode = statSync(folder).mode & 0o7777
    return (mode & WRITE_BY_OTHERS) === 0 ? undefined : mode.toString(8).padStart(4, '0')
  } catch {
    return undefined
  }
}

function findDiskError(error: unknown): NodeJS.ErrnoException | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code = '' } = cause as NodeJS.ErrnoException
    if (DISK_CODES.has(code) || PERMISSION_CODES.has(code)) return cause
  }
  return undefined
}
