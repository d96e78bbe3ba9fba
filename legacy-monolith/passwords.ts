// Stores passwords as scrypt hashes: "salt:hash", both in hexadecimal.
import { randomBytes, scrypt, scryptSync, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify<string, Buffer, number, Buffer>(scrypt)
const HASH_BYTES = 32

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  return `${salt.toString('hex')}:${(await derive(password, salt, HASH_BYTES)).toString('hex')}`
}

/** A hash with a fixed salt, only for the reproducible seed: not for a real person. */
export function hashSeedPassword(password: string, salt: Buffer): string {
  return `${salt.toString('hex')}:${scryptSync(password, salt, HASH_BYTES).toString('hex')}`
}

export async function passwordMatches(password: string, stored: string | undefined): Promise<boolean> {
  // An unknown user costs the same work, so that response times do not reveal which addresses have accounts.
  const [salt = '', hash = ''] = (stored ?? `${'00'.repeat(16)}:${'00'.repeat(HASH_BYTES)}`).split(':')
  const derived = await derive(password, Buffer.from(salt, 'hex'), HASH_BYTES)
  return timingSafeEqual(derived, Buffer.from(hash, 'hex')) && stored !== undefined
}
