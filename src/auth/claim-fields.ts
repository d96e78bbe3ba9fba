// Claims as header fields for an upstream.
import { type AuthPolicy, USER_ID_HEADER } from '../model/auth.ts'
import type { HeaderList } from '../model/request-head.ts'
import type { Token } from './read-token.ts'

/** @returns `[name, value, ...]`: `X-User-Id` first, then the claims that the policy forwards */
export function claimFields(userId: string, claims: Token['claims'], policy: AuthPolicy): HeaderList {
  const forwarded = policy.claims.flatMap(({ claim, header }) => {
    const value = textOf(claims[claim])
    return value === undefined ? [] : [header, value]
  })
  return [USER_ID_HEADER, fieldValue(userId), ...forwarded]
}

/** Texts, numbers and booleans, and lists of them joined by commas. Other values have no single text form. */
function textOf(value: unknown): string | undefined {
  if (!Array.isArray(value)) return scalar(value)
  const texts = value.map((item) => scalar(item)?.replaceAll(',', '%2C'))
  return texts.includes(undefined) ? undefined : texts.join(',')
}

function scalar(value: unknown): string | undefined {
  if (typeof value === 'string') return fieldValue(value)
  return typeof value === 'boolean' || typeof value === 'number' ? String(value) : undefined
}

/**
 * A text as a field value (RFC 9110 section 5.5): printable ASCII as it is; other characters, `%`, and spaces at either end
 * percent-encoded as UTF-8. So two texts never have the same value, and no value can end its line.
 */
function fieldValue(text: string): string {
  return text.toWellFormed().replace(/[^\x20-\x7e]+|%|^ +|(?<! ) +$/g, encodeURIComponent)
}
