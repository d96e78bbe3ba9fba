// The token of a request: the credentials of the Authorization field, and nowhere else (RFC 6750 section 2.1).
import type { HeaderList } from '../model/request-head.ts'
import { invalidToken, type TokenRejection } from './token-rejection.ts'

/** RFC 9110 section 11.1: the name of a scheme is case-insensitive. */
const SCHEME = /^bearer(?: |$)/i

/** @returns the text after the scheme `Bearer`; undefined if the field is missing or has another scheme */
export function bearerToken(fields: HeaderList): string | TokenRejection | undefined {
  let authorization: string | undefined
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') continue
    // RFC 9110 section 5.3 allows one line. Of two lines, the gateway and the upstream could use different ones.
    if (authorization !== undefined) return invalidToken('two Authorization fields')
    authorization = fields[i + 1] as string
  }
  if (authorization === undefined || !SCHEME.test(authorization)) return undefined
  return authorization.slice('bearer'.length).replace(/^ +/, '')
}
