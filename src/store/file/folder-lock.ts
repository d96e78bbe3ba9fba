// The lock of a folder: a second gateway would overwrite the state of the first one.
import { randomUUID } from 'node:crypto'
import { link, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import { errorCode, isMissing } from '../../lib/file-errors.ts'

/** The holder touches its lock this often: on another host, where the process cannot be checked, this shows that it runs. */
export const TOUCH_MS = 1000
const STALE_MS = 15_000
/** The pause before another attempt, while another process removes a dead lock. */
const RETRY_MS = 5

const holderSchema = z.object({
  pid: z.int().positive(),
  /** The start time of the process: a process with a reused id has another one. Null if the system does not tell it. */
  started: z.string().nullable(),
  host: z.string(),
  token: z.string(),
})
type Holder = z.infer<typeof holderSchema>

const UNREADABLE = { pid: Number.NaN, started: null, host: '', token: '' } as const satisfies Holder

/** Another gateway has the folder. The message names it, and what an operator can do. */
export class FolderTaken extends Error {
  constructor(folder: string, holder: Holder) {
    super(
      `the folder ${folder} is used by another gateway (process ${holder.pid} on ${holder.host}); stop that one, or give this one a folder of its own with --state-dir, or share state through REDIS_URL`,
    )
    this.name = 'FolderTaken'
  }
}

export class FolderLock {
  readonly #folder: string
  readonly #file: string
  readonly #holder: Holder

  private constructor(folder: string, holder: Holder) {
    this.#folder = folder
    this.#file = join(folder, 'lock')
    this.#holder = holder
  }

  /**
   * Takes the folder. A lock of a process that was killed is removed.
   *
   * @throws {FolderTaken} if a running gateway has the folder
   * @throws the error of the file system
   */
  static async take(folder: string): Promise<FolderLock> {
    const { pid } = process
    const lock = new FolderLock(folder, {
      pid,
      started: await readStartTime(pid),
      host: hostname(),
      token: randomUUID(),
    })
    await lock.#take()
    return lock
  }

  /** Shows other hosts that the holder runs. */
  async touch(): Promise<void> {
    const now = new Date()
    await utimes(this.#file, now, now).catch(() => {})
  }

  /** Whether this lock still exists: an operator may have deleted it. */
  async isOurs(): Promise<boolean> {
    return (await readHolder(this.#file))?.token === this.#holder.token
  }

  async release(): Promise<void> {
    if (await this.isOurs()) await rm(this.#file, { force: true })
  }

  async #take(): Promise<void> {
    const candidate = `${this.#file}.${this.#holder.token}`
    await writeFile(candidate, JSON.stringify(this.#holder), { mode: 0o600 })
    try {
      // A link is created with its whole content, or not at all: no process reads half a lock.
      while (!(await tryLink(candidate, this.#file))) {
        const holder = await removeDeadLock(this.#file, candidate)
        if (holder !== undefined) throw new FolderTaken(this.#folder, holder)
      }
    } finally {
      await rm(candidate, { force: true })
    }
  }
}

/**
 * Removes the lock of a dead process. This needs a claim named after the dead lock: without it, a process that has read the
 * dead lock could remove the lock that another process has taken since. A claim of a dead process is removed the same way.
 *
 * @param candidate the file that is linked as the claim
 * @returns the holder if it runs; undefined if the caller can try again
 */
async function removeDeadLock(file: string, candidate: string): Promise<Holder | undefined> {
  const holder = await readHolder(file)
  if (holder === undefined) return undefined
  if (await isRunning(holder, file)) return holder
  const claim = `${file}.${encodeURIComponent(holder.token)}.dead`
  if (!(await tryLink(candidate, claim))) {
    await removeDeadLock(claim, candidate)
    await pause(RETRY_MS)
    return undefined
  }
  try {
    if ((await readHolder(file))?.token === holder.token) await rm(file, { force: true })
  } finally {
    await rm(claim, { force: true })
  }
  return undefined
}

async function isRunning(holder: Holder, file: string): Promise<boolean> {
  if (holder === UNREADABLE) return false
  if (holder.host !== hostname()) return !(await isStale(file))
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM: the process exists and belongs to another user.
    if (errorCode(error) !== 'EPERM') return false
  }
  // In a container every gateway is process 1: only the start time distinguishes them.
  return (await readStartTime(holder.pid)) === holder.started
}

async function isStale(file: string): Promise<boolean> {
  const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: 0 }))
  return Date.now() - mtimeMs > STALE_MS
}

/** Field 22 of /proc/…/stat, in clock ticks since boot; null if the file does not exist. */
async function readStartTime(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The second field is the name of the command in parentheses, which can contain spaces and parentheses.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null
}

/** A lock that cannot be parsed counts as the lock of a dead process. Undefined if the file does not exist. */
async function readHolder(file: string): Promise<Holder | undefined> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    return holderSchema.parse(JSON.parse(text))
  } catch {
    return UNREADABLE
  }
}

async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false
    throw error
  }
}
