// Writes a new file, and never overwrites an existing one.
import { writeFile } from 'node:fs/promises'
import { CliError } from './client/cli-error.ts'
import { EXIT } from './exit-codes.ts'
import { escapeControls } from './format/print.ts'

/** @throws {CliError} if the file exists or cannot be written */
export async function writeNewFile(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx' })
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException
    const why = code === 'EEXIST' ? 'it exists, and is not overwritten; choose another name' : code
    throw new CliError(EXIT.failed, `${escapeControls(path)} cannot be written: ${why}`)
  }
}
