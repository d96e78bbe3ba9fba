// The kill switch of one gateway: two files in its state folder, which work without Redis and Unleash. The file `kill` has the
// names of contexts, one in a line. The file `kill.all` sends everything to legacy.
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BUILT_IN_ACTORS } from '../model/built-in-actors.ts'
import { EVERYTHING } from './controls.ts'
import { exists, readKillFile } from './read-kill-file.ts'

type KillFileOptions = {
  readonly stateDir: string
  /** Replaces a file by rename. @throws the error of the file system */
  readonly replaceFile: (path: string, text: string) => Promise<void>
  /** Called with the names whenever they change, with the author and the reason of the change. */
  readonly onChange: (names: readonly string[], by: string, reason: string | null) => void
  /** Called whenever the problem changes. */
  readonly onProblem: (problem: string | undefined) => void
}

/** How often the files are read, in milliseconds. An `lstat` takes some microseconds. */
const READ_EVERY_MS = 200
/** The author of a change that appears in the folder. */
const FILE_AUTHOR = BUILT_IN_ACTORS.killFile

export class KillFile {
  readonly #options: KillFileOptions
  readonly #file: string
  readonly #fileForAll: string
  readonly #timer: NodeJS.Timeout
  /** The names in the last valid `kill`: an invalid file does not end a kill. */
  #validNames: readonly string[] = []
  #problem: string | undefined
  #names: readonly string[]
  /** Killed by this process, and not on disk yet: a full disk does not disable the switch. */
  #isHeld = false
  #writing: Promise<void> = Promise.resolve()

  constructor(options: KillFileOptions) {
    this.#options = options
    this.#file = join(options.stateDir, 'kill')
    this.#fileForAll = join(options.stateDir, 'kill.all')
    this.#names = this.#read()
    this.#timer = setInterval(() => this.#readAgain(), READ_EVERY_MS)
    this.#timer.unref()
  }

  /** The contexts in the file, or {@link EVERYTHING}; empty without a file. */
  get names(): readonly string[] {
    return this.#names
  }

  /** Why the file `kill` is not used as it is; undefined while it is absent or valid. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Sends everything to legacy at once, and writes `kill.all` if the disk accepts it. @param by the author */
  killHere(by: string): void {
    this.#isHeld = true
    this.#apply([EVERYTHING], by, null)
    this.#writing = this.#write(by)
  }

  /** Removes both files. @returns why it could not; undefined once the revival is in force */
  async reviveHere(by: string, reason: string | null = null): Promise<string | undefined> {
    await this.#writing
    for (const path of [this.#file, this.#fileForAll]) {
      try {
        await rm(path, { force: true })
      } catch (error) {
        return `${path} cannot be removed (${error instanceof Error ? error.message : error}): remove it by hand`
      }
    }
    this.#isHeld = false
    const previousProblem = this.#problem
    this.#apply(this.#read(), by, reason)
    this.#reportProblem(previousProblem)
    return undefined
  }

  /** Stops reading. Resolves when a write that is under way has ended. Never rejects. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#writing
  }

  #readAgain(): void {
    const previousProblem = this.#problem
    const names = this.#read()
    this.#apply(this.#isHeld ? [EVERYTHING] : names, FILE_AUTHOR, null)
    this.#reportProblem(previousProblem)
  }

  #read(): readonly string[] {
    const content = readKillFile(this.#file)
    this.#problem = 'problem' in content ? content.problem : undefined
    if ('names' in content) this.#validNames = content.names
    return exists(this.#fileForAll) ? [EVERYTHING] : this.#validNames
  }

  /** From then on the file holds the switch, and its removal revives. */
  async #write(by: string): Promise<void> {
    try {
      await this.#options.replaceFile(this.#fileForAll, `killed by ${by}\n`)
      this.#isHeld = false
    } catch {
      // The kill lasts as long as the process.
    }
  }

  #apply(names: readonly string[], by: string, reason: string | null): void {
    if (names.join('\n') === this.#names.join('\n')) return
    this.#names = names
    this.#options.onChange(names, by, reason)
  }

  #reportProblem(previous: string | undefined): void {
    if (this.#problem !== previous) this.#options.onProblem(this.#problem)
  }
}
