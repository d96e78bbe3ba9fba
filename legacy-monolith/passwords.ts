// Passwords are kept as scrypt hashes: "salt:hash", both in hex.
import { randomBytes, scrypt, scryptSync, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify<string, Buffer, number, Buffer>(scrypt)
const HASH_BYTES = 32

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  return `${salt.toString('hex')}:${(await derive(password, salt, HASH_BYTES)).toString('hex')}`
}

/** For the seed, which must come out the same every time: never for a real person. */
export function hashSeedPassword(password: string, salt: Buffer): string {
  return `${salt.toString('hex')}:${scryptSync(password, salt, HASH_BYTES).toString('hex')}`
}

export async function passwordMatches(password: string, stored: string | undefined): Promise<boolean> {
  // Somebody unknown costs the same work, so that the time does not tell which addresses have accounts.
  const [salt = '', hash = ''] = (stored ?? `${'00'.repeat(16)}:${'00'.repeat(HASH_BYTES)}`).split(':')
  const derived = await derive(password, Buffer.from(salt, 'hex'), HASH_BYTES)
  return timingSafeEqual(derived, Buffer.from(hash, 'hex')) && stored !== undefined
}
