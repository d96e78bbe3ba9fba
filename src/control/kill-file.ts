// The kill switch of one gateway: two files in its state folder. `kill` names contexts, one a line; `kill.all` sends
// everything to legacy. It works with Redis and Unleash both gone.
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, type Stats } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BUILT_IN_ACTORS } from '../model/built-in-actors.ts'
import { EVERYTHING } from './controls.ts'

export type KillFile = {
  /** The contexts it names, {@link EVERYTHING}, or none where there is no file. */
  readonly current: () => readonly string[]
  /** Why the file `kill` is not used as it is; undefined while it is absent or valid. */
  readonly problem: () => string | undefined
  /** Sends everything to legacy at once; writes `kill.all` if the disk takes it. @param by who wants it */
  readonly killHere: (by: string) => void
  /** Removes both files. @returns why it could not; undefined once it is in force */
  readonly reviveHere: (by: string, reason?: string | null) => Promise<string | undefined>
  /** Stops looking. Resolves when a write that is under way has ended. Never rejects. */
  readonly stop: () => Promise<void>
}

export type KillFileOptions = {
  readonly stateDir: string
  /** Puts a file in place by rename. @throws what the file system says */
  readonly replaceFile: (path: string, text: string) => Promise<void>
  /** Called with the names whenever they change, with the author and the reason of the change. */
  readonly onChange: (names: readonly string[], by: string, reason: string | null) => void
  /** Called whenever the problem changes. */
  readonly onProblem: (problem: string | undefined) => void
}

/** How often the files are looked for, in milliseconds. An `lstat` costs some microseconds. */
const LOOK_EVERY_MS = 200
const MAX_BYTES = 64 * 1024
/** The author of a change that we only see in the folder. */
const FILE_AUTHOR = BUILT_IN_ACTORS.killFile

export function followKillFile({ stateDir, replaceFile, onChange, onProblem }: KillFileOptions): KillFile {
  const file = join(stateDir, 'kill')
  const fileForAll = join(stateDir, 'kill.all')
  /** From the last valid `kill`: an invalid one does not end what is in force. */
  let validNames: readonly string[] = []
  let problem: string | undefined
  let current = look()
  /** Killed by us, whether or not the disk has taken it: a full disk must not keep the switch from working. */
  let isHeld = false
  let writing: Promise<void> = Promise.resolve()
  const timer = setInterval(lookAgain, LOOK_EVERY_MS)
  timer.unref()

  return { current: () => current, problem: () => problem, killHere, reviveHere, stop }

  async function stop(): Promise<void> {
    clearInterval(timer)
    await writing
  }

  function lookAgain(): void {
    const previousProblem = problem
    const names = look()
    take(isHeld ? [EVERYTHING] : names, FILE_AUTHOR, null)
    if (problem !== previousProblem) onProblem(problem)
  }

  function look(): readonly string[] {
    const content = readKillFile(file)
    problem = 'problem' in content ? content.problem : undefined
    if ('names' in content) validNames = content.names
    return exists(fileForAll) ? [EVERYTHING] : validNames
  }

  function killHere(by: string): void {
    isHeld = true
    take([EVERYTHING], by, null)
    writing = write(by)
  }

  /** From here on the file holds the switch, and removing it revives. */
  async function write(by: string): Promise<void> {
    try {
      await replaceFile(fileForAll, `killed by ${by}\n`)
      isHeld = false
    } catch {
      // Then it lasts as long as the process.
    }
  }

  async function reviveHere(by: string, reason: string | null = null): Promise<string | undefined> {
    await writing
    for (const path of [file, fileForAll]) {
      try {
        await rm(path, { force: true })
      } catch (error) {
        return `${path} cannot be removed (${error instanceof Error ? error.message : error}): remove it by hand`
      }
    }
    isHeld = false
    const previousProblem = problem
    take(look(), by, reason)
    if (problem !== previousProblem) onProblem(problem)
    return undefined
  }

  function take(names: readonly string[], by: string, reason: string | null): void {
    if (names.join('\n') === current.join('\n')) return
    current = names
    onChange(names, by, reason)
  }
}

type KillFileContent =
  | { readonly names: readonly string[]; readonly problem?: string }
  /** It is refused, and what was in force stays. */
  | { readonly problem: string }

/** Only a regular file of bounded size is opened: a FIFO would block the process, and a link or a device can be anything. */
function readKillFile(file: string): KillFileContent {
  try {
    const stats = lstatSync(file, { throwIfNoEntry: false })
    if (stats === undefined) return { names: [] }
    if (!stats.isFile()) return { problem: notRegular(file, stats) }
    const text = readRegularFile(file)
    if (text === undefined)
      return { problem: `${file} is not a regular file of at most ${MAX_BYTES} bytes: replace it` }
    const names = text.split('\n').map((line) => line.trim())
    const contexts = names.filter((name) => name !== '')
    if (contexts.length === 0) return { problem: `${file} is empty and is ignored: ${HOW_TO_KILL}` }
    return { names: contexts }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return { names: [] }
    // The state folder itself is not a folder: there is no kill file in it.
    if (code === 'ENOTDIR') return { names: [] }
    if (code === 'ELOOP') return { problem: `${file} is a link and is ignored: ${HOW_TO_KILL}` }
    // It is there and cannot be read, perhaps for lack of file descriptors: its author wanted less traffic on services.
    return {
      names: [EVERYTHING],
      problem: `${file} cannot be read (${message}): everything goes to legacy until it can`,
    }
  }
}

/** Undefined if it is not a regular file when it is open, or too long. */
function readRegularFile(file: string): string | undefined {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  try {
    const { size } = fstatSync(descriptor)
    if (!fstatSync(descriptor).isFile() || size > MAX_BYTES) return undefined
    const bytes = Buffer.alloc(MAX_BYTES)
    return bytes.toString('utf8', 0, readSync(descriptor, bytes, 0, MAX_BYTES, 0))
  } finally {
    closeSync(descriptor)
  }
}

/** Nothing is opened: an entry of that name is enough, of whatever kind. */
function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

function notRegular(file: string, stats: Stats): string {
  const kind = KINDS.find(([is]) => is(stats))?.[1] ?? 'not a regular file'
  return `${file} is ${kind} and is ignored: ${HOW_TO_KILL}`
}

const KINDS: readonly (readonly [(stats: Stats) => boolean, string])[] = [
  [(stats) => stats.isFIFO(), 'a FIFO'],
  [(stats) => stats.isSymbolicLink(), 'a link'],
  [(stats) => stats.isDirectory(), 'a folder'],
  [(stats) => stats.isSocket(), 'a socket'],
  [(stats) => stats.isCharacterDevice() || stats.isBlockDevice(), 'a device'],
]

const HOW_TO_KILL = 'write context names into a file of that name, or create kill.all to send everything to legacy'
