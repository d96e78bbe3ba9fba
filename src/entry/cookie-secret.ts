// The key that signs anonymous ids, kept in the state folder: cookies stay valid after a restart.
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorCode } from '../lib/file-errors.ts'

/**
 * Reads the key, or creates it in the state folder. Gateways that share a folder share its key.
 *
 * @param onFailed called if the key cannot be written: it is then valid until the process ends
 */
export function loadCookieSecret(stateDir: string, onFailed: (file: string, error: unknown) => void): string {
  const file = join(stateDir, 'cookie-secret')
  try {
    return readFileSync(file, 'utf8')
  } catch {
    const secret = createHash('sha256').update(randomBytes(32)).digest('base64url')
    try {
      mkdirSync(stateDir, { recursive: true, mode: 0o700 })
      writeFileSync(file, secret, { mode: 0o600, flag: 'wx' })
    } catch (error) {
      // Another gateway with the same folder wrote its key first: both must use that key.
      if (errorCode(error) === 'EEXIST') return readFileSync(file, 'utf8')
      onFailed(file, error)
    }
    return secret
  }
}
