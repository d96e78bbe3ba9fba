// The id of a gateway, stored in its state folder: a gateway has the same id after a restart.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMissing } from '../lib/file-errors.ts'

const FILE = 'gateway-id'
const ID = /^[\w.:~-]{1,128}$/

/**
 * Reads the id of the gateway. The first start writes it.
 *
 * @param newId the id of a gateway that does not have one yet
 * @param reportError called if the id cannot be stored: the gateway then has a new id after each start
 */
export function loadGatewayId(stateDir: string, newId: string, reportError: (error: Error) => void): string {
  const file = join(stateDir, FILE)
  try {
    const id = readFileSync(file, 'utf8').trim()
    if (ID.test(id)) return id
  } catch (error) {
    if (!isMissing(error)) reportError(new Error(`${file} cannot be read: the gateway has a new id`, { cause: error }))
  }
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 })
    writeFileSync(file, `${newId}\n`, { mode: 0o600 })
  } catch (error) {
    reportError(new Error(`${file} cannot be written: the gateway has a new id with each start`, { cause: error }))
  }
  return newId
}
