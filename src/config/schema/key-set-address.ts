// The address of an issuer's key set (RFC 7517 section 5): one rule for the map and for the admin API.
import { isLoopback } from '../options/loopback.ts'

const EXAMPLE = 'such as "https://login.example.com/.well-known/jwks.json"'

export const NOT_A_KEY_SET_ADDRESS = `must be an address ${EXAMPLE}`

/**
 * The reason why the address is rejected, or undefined. An attacker who changes the key set in transit can sign tokens, so plain HTTP
 * is for this machine only.
 */
export function mistakeInKeySetAddress(text: string): string | undefined {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return NOT_A_KEY_SET_ADDRESS
  if (url.username !== '' || url.password !== '') return 'must have no user and password: the keys in it are public'
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    return 'must begin with "https://": an attacker who changes the answer in transit could sign tokens'
  }
  return undefined
}
