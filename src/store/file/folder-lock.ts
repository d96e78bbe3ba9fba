// One gateway for a folder: a second one would overwrite what the first has said.
import { randomUUID } from 'node:crypto'
import { link, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { z } from 'zod'
import { isMissing } from '../../lib/file-errors.ts'

/** Whoever holds the lock touches it so often; on another host, where its process cannot be seen, that shows its life. */
export const TOUCH_MS = 1000
const STALE_MS = 15_000

const holderShape = z.object({
  pid: z.int().positive(),
  /** When the process began, as the system counts: a number that was used again is not the same process. */
  started: z.string().nullable(),
  host: z.string(),
  token: z.string(),
})
type Holder = z.infer<typeof holderShape>

const UNREADABLE = { pid: Number.NaN, started: null, host: '', token: '' } as const satisfies Holder
/** Whoever finds another at it looks again so much later. */
const PAUSE_MS = 5

/** Somebody else has the folder. The message says who, and what to do. */
export class FolderTaken extends Error {
  constructor(folder: string, holder: Holder) {
    super(
      `the folder ${folder} is used by another gateway (process ${holder.pid} on ${holder.host}); stop that one, or give this one a folder of its own with --state-dir, or share state through REDIS_URL`,
    )
    this.name = 'FolderTaken'
  }
}

export class FolderLock {
  private readonly folder: string
  private readonly file: string
  private readonly ours: Holder

  private constructor(folder: string, ours: Holder) {
    this.folder = folder
    this.file = join(folder, 'lock')
    this.ours = ours
  }

  /**
   * Takes the folder, also from a process that was killed.
   *
   * @throws {FolderTaken} if a gateway that lives has it
   * @throws what the file system says
   */
  static async take(folder: string): Promise<FolderLock> {
    const ours: Holder = {
      pid: process.pid,
      started: await startOf(process.pid),
      host: hostname(),
      token: randomUUID(),
    }
    const lock = new FolderLock(folder, ours)
    await lock.take()
    return lock
  }

  /** Says that its holder lives. */
  async touch(): Promise<void> {
    const now = new Date()
    await utimes(this.file, now, now).catch(() => {})
  }

  /** Whether it is still ours: somebody may have deleted it by hand. */
  async isOurs(): Promise<boolean> {
    return (await readHolder(this.file))?.token === this.ours.token
  }

  async release(): Promise<void> {
    if (await this.isOurs()) await rm(this.file, { force: true })
  }

  private async take(): Promise<void> {
    const candidate = `${this.file}.${this.ours.token}`
    await writeFile(candidate, JSON.stringify(this.ours), { mode: 0o600 })
    try {
      // A link is made with all that is in it, or not at all: nobody reads half a lock.
      while (!(await linked(candidate, this.file))) {
        const holder = await clear(this.file, candidate)
        if (holder !== undefined) throw new FolderTaken(this.folder, holder)
      }
    } finally {
      await rm(candidate, { force: true })
    }
  }
}

/**
 * Removes what a dead process has left there. Only whoever has made the claim that is named after that process may: another
 * who has seen the same would remove what a third has taken since. A claim whose maker died is itself cleared so.
 *
 * @param candidate what is linked to claim it
 * @returns who has it and lives; undefined where it is worth another try
 */
async function clear(file: string, candidate: string): Promise<Holder | undefined> {
  const seen = await readHolder(file)
  if (seen === undefined) return undefined
  if (await lives(seen, file)) return seen
  const claim = `${file}.${encodeURIComponent(seen.token)}.dead`
  if (!(await linked(candidate, claim))) {
    await clear(claim, candidate)
    await pause(PAUSE_MS)
    return undefined
  }
  try {
    if ((await readHolder(file))?.token === seen.token) await rm(file, { force: true })
  } finally {
    await rm(claim, { force: true })
  }
  return undefined
}

async function lives(holder: Holder, file: string): Promise<boolean> {
  if (holder === UNREADABLE) return false
  if (holder.host !== hostname()) return !(await isStale(file))
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // It is there, and not ours to signal.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false
  }
  const started = await startOf(holder.pid)
  // In a container every gateway is process 1: the time at which it began tells them apart.
  return started === holder.started
}

async function isStale(file: string): Promise<boolean> {
  const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: 0 }))
  return Date.now() - mtimeMs > STALE_MS
}

/** Field 22 of /proc/…/stat, clock ticks since boot; null where there is no such file. */
async function startOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The second field is the command's name in parentheses, with whatever is in it.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null
}

/** What was not written by us belongs to nobody who lives. Undefined where there is no such file. */
async function readHolder(file: string): Promise<Holder | undefined> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    return holderShape.parse(JSON.parse(text))
  } catch {
    return UNREADABLE
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}
