// The id of a gateway, kept in its state folder: a gateway that is started again is the same one.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const FILE = 'gateway-id'
const ID = /^[\w.:~-]{1,128}$/

/**
 * Reads the id, or writes one on the first start.
 *
 * @param fresh the id of a gateway that has none yet
 * @param troubled called where the id cannot be kept: then it lasts as long as the process
 */
export function keptId(stateDir: string, fresh: string, troubled: (error: Error) => void): string {
  const file = join(stateDir, FILE)
  try {
    const id = readFileSync(file, 'utf8').trim()
    if (ID.test(id)) return id
  } catch (error) {
    if (!isMissing(error)) troubled(new Error(`${file} cannot be read: the gateway has a new id`, { cause: error }))
  }
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    writeFileSync(file, `${fresh}\n`, { mode: 0o600 })
  } catch (error) {
    troubled(new Error(`${file} cannot be written: the gateway has a new id with each start`, { cause: error }))
  }
  return fresh
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
