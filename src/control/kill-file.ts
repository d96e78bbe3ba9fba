// The kill switch that needs nobody: a file in the state directory of one gateway. Empty, everything is legacy's; else
// the contexts that it names, one a line. It works with Redis and Unleash both gone.

import { readFileSync, statSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BUILT_IN_ACTORS } from '../model/built-in-actors.ts'
import { EVERYTHING } from './controls.ts'

export type KillFile = {
  /** The contexts it names, {@link EVERYTHING}, or none where there is no file. */
  readonly current: () => readonly string[]
  /** As if the file were there and empty; on disk as well, if the disk takes it. @param by who wants it */
  readonly killHere: (by: string) => void
  /** Takes back what was killed here, by whatever way. @returns why it could not; undefined once it is in force */
  readonly reviveHere: (by: string) => Promise<string | undefined>
  readonly stop: () => void
}

/** How often the file is looked for, in milliseconds. A `stat` costs some microseconds. */
const LOOK_EVERY_MS = 200
/** Who it was, where all we saw is the file. */
const SOMEBODY = BUILT_IN_ACTORS.killFile

/** @param onChange called with what the file names whenever that changes, and who changed it */
export function followKillFile(stateDir: string, onChange: (names: readonly string[], by: string) => void): KillFile {
  const file = join(stateDir, 'kill')
  let current = read(file)
  /** Killed by us, whether or not the disk has taken it: one that is full must not keep the switch from working. */
  let isHeld = false
  let writing: Promise<void> = Promise.resolve()
  const timer = setInterval(() => take(isHeld ? [EVERYTHING] : read(file), SOMEBODY), LOOK_EVERY_MS)
  timer.unref()

  return { current: () => current, killHere, reviveHere, stop: () => clearInterval(timer) }

  function killHere(by: string): void {
    isHeld = true
    take([EVERYTHING], by)
    writing = write()
  }

  /** From here on the file says it, and whoever removes it revives. */
  async function write(): Promise<void> {
    try {
      await writeFile(file, '', { mode: 0o600 })
      isHeld = false
    } catch {
      // Then it lasts as long as the process.
    }
  }

  async function reviveHere(by: string): Promise<string | undefined> {
    await writing
    try {
      await rm(file, { force: true })
    } catch (error) {
      return `${file} cannot be removed (${error instanceof Error ? error.message : error}): remove it by hand`
    }
    isHeld = false
    take(read(file), by)
    return undefined
  }

  function take(names: readonly string[], by: string): void {
    if (names.join('\n') === current.join('\n')) return
    current = names
    onChange(names, by)
  }
}

/** A file that is there and cannot be read, be it that no more files can be opened, was put there by somebody who meant it. */
function read(file: string): readonly string[] {
  try {
    // Needs no file to be opened: where none can be, one that is not there is not taken for one that is.
    if (statSync(file, { throwIfNoEntry: false }) === undefined) return []
    const names = readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.trim())
    const named = names.filter((name) => name !== '')
    return named.length === 0 ? [EVERYTHING] : named
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? [] : [EVERYTHING]
  }
}
