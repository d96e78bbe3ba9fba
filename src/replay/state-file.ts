// Where a run writes down how far it is, so that the same command goes on there, whatever ended it.
import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { isMissing } from '../lib/file-errors.ts'
import { replaceFile } from '../lib/replace-file.ts'
import { UnusableRecording } from './recording.ts'
import type { Progress } from './progress.ts'

/** What a run is of: with another of these, what was counted would be of something else. */
export type RunOf = {
  /** The recording: its length, and the SHA-256 of that much. */
  readonly bytes: number
  readonly digest: string
  /** SHA-256 of the config, as it was understood. */
  readonly config: string
  /** SHA-256 of what was asked for: contexts, hosts, credentials. */
  readonly choices: string
}

export type SavedRun = { readonly of: RunOf; readonly progress: Progress }

const VERSION = 1

/** What a run has left; undefined where there is nothing. @throws {UnusableRecording} if it cannot be used */
export async function readState(file: string): Promise<SavedRun | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw new UnusableRecording(`${file} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  const [head = '', body = ''] = text.split('\n')
  // Nobody but us writes it, so what has our sum has our shape.
  if (head !== headOf(body)) {
    throw new UnusableRecording(`${file} is not what a run has written, or of another version; --fresh starts anew`)
  }
  return JSON.parse(body) as SavedRun
}

/** @throws {UnusableRecording} if what is kept is of another run */
export function checkState(file: string, kept: RunOf, now: RunOf): void {
  const other =
    kept.bytes !== now.bytes || kept.digest !== now.digest
      ? 'another recording'
      : kept.config !== now.config
        ? 'another config'
        : kept.choices !== now.choices
          ? 'other contexts, hosts or credentials'
          : undefined
  if (other === undefined) return
  throw new UnusableRecording(
    `${file} is of a run over ${other}: what it has counted and what is to come would not add up; --fresh starts anew, --state FILE keeps both`,
  )
}

export type StateFile = {
  /** Resolves when what was there at the time of the call, or later, is on the disk. */
  readonly save: () => Promise<void>
  readonly remove: () => Promise<void>
}

/** Saves that are asked for while one is under way become one: each waits for the disk, and none for each other. */
export function createStateFile(file: string, of: RunOf, progress: () => Progress): StateFile {
  let writing: Promise<unknown> = Promise.resolve()
  let next: Promise<void> | undefined
  const write = async () => {
    const body = JSON.stringify({ of, progress: progress() } satisfies SavedRun)
    try {
      await replaceFile(file, `${headOf(body)}\n${body}\n`)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new UnusableRecording(`${file} cannot be written (${code}); --state FILE names another place`)
    }
  }
  return {
    save: () => {
      if (next !== undefined) return next
      // One after another: of two at once the older might be the last to take its place.
      const turn = writing.then(() => {
        next = undefined
        return write()
      })
      next = turn
      writing = turn.catch(() => {})
      return turn
    },
    remove: () => rm(file, { force: true }),
  }
}

function headOf(body: string): string {
  return `strangler replay ${VERSION} ${sha256(body)}`
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
