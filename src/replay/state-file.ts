// The state file of a replay: its progress, with which the same command continues after any end.
import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { isMissing } from '../lib/file-errors.ts'
import { replaceFile } from '../lib/replace-file.ts'
import { singleFlight } from '../lib/single-flight.ts'
import type { Progress } from './progress.ts'
import { UnusableRecording } from './recording.ts'

/** A run with another identity must not continue: its counts and the saved ones do not add up. */
export type RunIdentity = {
  /** The length of the recording, and the SHA-256 of so many bytes. */
  readonly bytes: number
  readonly digest: string
  /** SHA-256 of the parsed config. */
  readonly config: string
  /** SHA-256 of the contexts, hosts and credentials that the command names. */
  readonly choices: string
}

/** The content of the file. `of`: the identity of the run. */
export type SavedRun = { readonly of: RunIdentity; readonly progress: Progress }

const VERSION = 1

/** The saved run; undefined without a file. @throws {UnusableRecording} if the file cannot be read or used */
export async function readState(file: string): Promise<SavedRun | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw new UnusableRecording(`${file} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  const [head = '', body = ''] = text.split('\n')
  // Only this program writes the checksum, so a correct one proves the shape of the body.
  if (head !== headOf(body)) {
    throw new UnusableRecording(`${file} is not a state file of this version; --fresh starts again without it`)
  }
  return JSON.parse(body) as SavedRun
}

/** @throws {UnusableRecording} if the saved run has another identity */
export function checkState(file: string, saved: RunIdentity, current: RunIdentity): void {
  const difference =
    saved.bytes !== current.bytes || saved.digest !== current.digest
      ? 'another recording'
      : saved.config !== current.config
        ? 'another config'
        : saved.choices !== current.choices
          ? 'other contexts, hosts or credentials'
          : undefined
  if (difference === undefined) return
  throw new UnusableRecording(
    `${file} belongs to a run with ${difference}, so its counts cannot be continued; --fresh starts again without it, --state FILE keeps both`,
  )
}

type StateFileOptions = {
  readonly file: string
  readonly identity: RunIdentity
  readonly progress: () => Progress
}

export class StateFile {
  readonly #options: StateFileOptions
  readonly #write = singleFlight(() => this.#writeOnce())

  constructor(options: StateFileOptions) {
    this.#options = options
  }

  /**
   * Resolves when the progress at the time of the call, or a later one, is on disk. Calls during a write share the next write.
   *
   * @throws {UnusableRecording} if the file cannot be written
   */
  save(): Promise<void> {
    return this.#write()
  }

  remove(): Promise<void> {
    return rm(this.#options.file, { force: true })
  }

  async #writeOnce(): Promise<void> {
    const { file, identity, progress } = this.#options
    const body = JSON.stringify({ of: identity, progress: progress() } satisfies SavedRun)
    try {
      await replaceFile(file, `${headOf(body)}\n${body}\n`)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new UnusableRecording(`${file} cannot be written (${code}); --state FILE names another place`)
    }
  }
}

function headOf(body: string): string {
  return `strangler replay ${VERSION} ${sha256(body)}`
}

/** In hexadecimal. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
