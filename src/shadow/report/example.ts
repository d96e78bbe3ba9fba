// Builds an example: one request with both responses, masked. Secrets do not leave the worker. Pure.

import type { Difference, Masked } from '../../model/comparison.ts'
import type { Example, MaskedAnswer } from '../../model/comparison-example.ts'
import { DEFAULT_REDACTION, maskHeaders, maskRequestTarget, type Redaction, redact } from '../capture/redact.ts'
import type { ComparedResponse } from '../compare/compare-answers.ts'
import { DEFAULT_LIMITS } from '../compare/compare-limits.ts'
import { decodeBody } from '../compare/decode-body.ts'
import { firstField } from '../compare/first-field.ts'
import { familyOf } from '../compare/media-type.ts'
import { BODY, EACH, namedSegment, pathText } from '../compare/path.ts'

export type ComparedExchange = {
  readonly time: number
  readonly method: string
  readonly target: string
  /** The pattern of the route. */
  readonly pattern: string
  /** The header fields of the copy. */
  readonly fields: readonly string[]
  readonly answeredBy: Example['answeredBy']
  readonly legacy: ComparedResponse
  readonly legacyMs: number
  readonly service: ComparedResponse
  readonly serviceMs: number
  readonly differences: readonly Difference[]
}

/** The largest decoded body in an example: a page of a list, but not an export. */
const MAX_BODY_BYTES = 16 * 1024

export function exampleOf(seen: ComparedExchange, redaction: Redaction = DEFAULT_REDACTION): Example {
  const { time, method, target, pattern, fields, answeredBy, legacy, service, differences } = seen
  const query = target.indexOf('?')
  const [path, rest] = query === -1 ? [target, ''] : [target.slice(0, query), target.slice(query)]
  return {
    at: time,
    request: {
      method,
      target: maskRequestTarget(path, rest, redaction, pattern),
      headers: maskHeaders(fields, redaction),
    },
    answeredBy,
    legacy: maskAnswer(legacy, seen.legacyMs, redaction),
    service: maskAnswer(service, seen.serviceMs, redaction),
    differences: differences.map((difference) => redact(difference, redaction)),
  }
}

function maskAnswer(answer: ComparedResponse, ms: number, redaction: Redaction): MaskedAnswer {
  return {
    status: answer.status,
    headers: maskHeaders(answer.headers, redaction),
    body: maskBody(answer, redaction),
    ms: Math.round(ms * 1000) / 1000,
  }
}

function maskBody({ headers, body, isTruncated }: ComparedResponse, redaction: Redaction): Masked | null {
  if (isTruncated || body.length > MAX_BODY_BYTES || familyOf(firstField(headers, 'content-type')) !== 'json')
    return null
  const coding = firstField(headers, 'content-encoding')
  const decoded = decodeBody(body, coding, { ...DEFAULT_LIMITS, maxDecodedBytes: MAX_BODY_BYTES })
  if (decoded.kind !== 'decoded') return null
  try {
    const value: unknown = JSON.parse(Buffer.from(decoded.bytes).toString('utf8'))
    return JSON.stringify(maskValue(value, [BODY], redaction)) as Masked
  } catch {
    return null
  }
}

/** Masks each value as `redact` masks it in a difference at its path. Names stay, because they locate values. */
function maskValue(value: unknown, path: readonly string[], redaction: Redaction): unknown {
  if (path.length > DEFAULT_LIMITS.maxDepth) return '<too deep>'
  if (Array.isArray(value)) return value.map((item) => maskValue(item, [...path, EACH], redaction))
  if (typeof value === 'object' && value !== null) {
    const masked = Object.entries(value).map(([key, item]) => [
      String(maskLeaf(key, [BODY], DEFAULT_REDACTION)),
      maskValue(item, [...path, namedSegment(key)], redaction),
    ])
    return Object.fromEntries(masked)
  }
  return maskLeaf(value, path, redaction)
}

function maskLeaf(value: unknown, path: readonly string[], redaction: Redaction): unknown {
  if (value === null || typeof value === 'boolean') return value
  const text = String(value)
  const { legacy } = redact({ kind: 'value', path: pathText(path), legacy: text, service: null, times: 1 }, redaction)
  return legacy === text ? value : legacy
}
