// The header fields of a copy: the mark, a trace span of its own, and with or without the client's identity. Pure.
import type { HeaderList } from '../../model/request-head.ts'
import type { CopyRequest } from '../../model/shadow.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import { firstField } from '../compare/first-field.ts'
import { isSecretHeader } from './redact.ts'

/** Marks a copy. The gateway removes this field from requests of clients. */
export const SHADOW_FIELD = 'X-Shadow'
/** `1`: the response is compared, and no client receives it. `dry-run`: in addition, the service must change nothing. */
type ShadowMark = '1' | 'dry-run'
/** The field with which a service accepts dry runs: `dry-run`. */
const ACCEPTED_FIELD = 'X-Shadow-Accepted'

/** @param spanId 16 lower-case hexadecimal digits: the copy is a child of the span of the original request */
export function copyFields(
  { fields, identityFields }: Pick<CopyRequest, 'fields' | 'identityFields'>,
  mark: ShadowMark,
  identities: ShadowPolicy['identities'],
  spanId: string,
): string[] {
  const copied: string[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i]!
    const value = fields[i + 1]!
    const lower = name.toLowerCase()
    if (lower === SHADOW_LOWER || FRAMING.has(lower)) continue
    if (identities === 'strip' && (isCredential(lower) || identityFields.includes(lower))) continue
    copied.push(name, lower === 'traceparent' ? childOf(value, spanId) : value)
  }
  copied.push(SHADOW_FIELD, mark)
  return copied
}

/** Whether the service handled the request as a dry run. */
export function acceptsDryRun(headers: HeaderList): boolean {
  return firstField(headers, ACCEPTED_LOWER).trim().toLowerCase() === 'dry-run'
}

const SHADOW_LOWER = SHADOW_FIELD.toLowerCase()
const ACCEPTED_LOWER = ACCEPTED_FIELD.toLowerCase()
/** The sender of the copy frames its body. */
const FRAMING: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'connection', 'expect', 'trailer'])

/** `X-Api-Key` is a credential like `Authorization`. */
function isCredential(lower: string): boolean {
  return lower !== 'idempotency-key' && isSecretHeader(lower)
}

/** https://www.w3.org/TR/trace-context/#traceparent-header: the same trace and flags, another parent. */
function childOf(traceparent: string, spanId: string): string {
  return traceparent.replace(/^([0-9a-f]{2}-[0-9a-f]{32}-)[0-9a-f]{16}/, `$1${spanId}`)
}
