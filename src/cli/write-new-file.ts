// A file that is written for somebody: never over another.
import { writeFile } from 'node:fs/promises'
import { Trouble } from './client/cli-error.ts'
import { EXIT } from './exit-codes.ts'
import { plain } from './format/print.ts'

export async function writeNew(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx' })
  } catch (error) {
    const { code = 'it failed' } = error as NodeJS.ErrnoException
    const why = code === 'EEXIST' ? 'there is one already, and it is not written over' : code
    throw new Trouble(EXIT.failed, `${plain(path)} cannot be written: ${why}`)
  }
}
