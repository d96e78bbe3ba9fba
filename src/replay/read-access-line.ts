// Parses a line of this gateway's access log, in JSON (docs/observability.md).
import { isSafe } from '../shadow/capture/eligibility.ts'
import { isFieldValue, type ParsedEntry, skipped, unreadable } from './recording.ts'

export function readAccessLine(line: string): ParsedEntry {
  const fields = parse(line)
  if (fields === undefined) return unreadable('is not a JSON object')
  const { method, path, failure } = fields
  // Malformed requests have neither; the gateway refused them.
  if (typeof method !== 'string' || typeof path !== 'string') {
    return typeof failure === 'string' ? skipped('refused') : unreadable('has no "method" and "path"')
  }
  if (!isSafe(method)) return skipped('unsafe-method')
  if (fields.status === 101) return skipped('upgrade')
  if (fields.answeredBy !== undefined) return skipped('not-forwarded')
  if (Number(fields.requestBytes ?? 0) > 0) return skipped('with-body')
  if (path.includes('***')) return skipped('masked')
  if (path.length >= MAX_TARGET_LENGTH) return skipped('cut')
  const { client, userAgent } = fields
  return {
    kind: 'request',
    request: {
      method,
      target: path,
      host: undefined,
      secure: undefined,
      client: typeof client === 'string' ? client : undefined,
      fields: typeof userAgent === 'string' && isFieldValue(userAgent) ? ['User-Agent', userAgent] : [],
    },
  }
}

/** The length to which the access log cuts a target. */
const MAX_TARGET_LENGTH = 2048

function parse(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
