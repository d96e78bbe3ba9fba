// The backup of the flags of an Unleash: `kept-flags.json`.
import { readFile } from 'node:fs/promises'
import { isMissing } from '../../lib/file-errors.ts'
import { replaceFile } from '../../lib/replace-file.ts'
import type { StoredFlagBackup } from '../../model/shared-state.ts'
import { parseFlagBackup } from '../state-schema.ts'

export class FlagBackupFile {
  readonly #path: string
  readonly #reportError: (error: Error) => void

  constructor(path: string, reportError: (error: Error) => void) {
    this.#path = path
    this.#reportError = reportError
  }

  /** Does not replace a newer backup. */
  async save(flags: StoredFlagBackup): Promise<void> {
    const stored = await this.load()
    if (flags.at < (stored?.at ?? 0)) return
    await replaceFile(this.#path, JSON.stringify({ text: flags.text, at: flags.at }))
  }

  /** @returns undefined if there is no backup or, after an error was reported, if it cannot be read */
  async load(): Promise<StoredFlagBackup | undefined> {
    try {
      return parseFlagBackup(await readFile(this.#path, 'utf8'))
    } catch (error) {
      if (!isMissing(error)) this.#reportError(new Error(`${this.#path} cannot be read`, { cause: error }))
      return undefined
    }
  }
}
