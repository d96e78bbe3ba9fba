// Compares two responses to one request: the status, then the header fields, then the body by its media type.
import { createHash } from 'node:crypto'
import type { Comparison, Uncomparable } from '../../model/comparison.ts'
import type { HeaderList } from '../../model/request-head.ts'
import { readForm } from './compare-form.ts'
import { compareHeaders } from './compare-headers.ts'
import { compareJson } from './compare-json.ts'
import { type CompareLimits, DEFAULT_LIMITS } from './compare-limits.ts'
import { compareMarkup } from './compare-markup.ts'
import { compareText, readLines, type TextLines } from './compare-text.ts'
import { decodeBody } from './decode-body.ts'
import { createFindings, type Findings } from './findings.ts'
import type { MarkupElement } from './markup.ts'
import { familyOf, type MediaFamily } from './media-type.ts'
import { BODY, type Path } from './path.ts'
import { readHtml } from './read-html.ts'
import { type JsonDocument, type JsonValue, readJson } from './read-json.ts'
import { readXml } from './read-xml.ts'
import { type CompiledRules, NO_RULES } from './rules.ts'

export type ComparedResponse = {
  readonly status: number
  readonly headers: HeaderList
  /** With its content coding, without its framing. */
  readonly body: Uint8Array
  /** The body was longer than its limit, and is not kept. */
  readonly isTruncated: boolean
}

/**
 * Pure: the same responses and rules always give the same comparison.
 *
 * @param legacy the response of legacy; of two responses of legacy the first
 * @param service the response of the service; of two responses of legacy the second
 */
export function compareAnswers(
  legacy: ComparedResponse,
  service: ComparedResponse,
  rules: CompiledRules = NO_RULES,
  limits: CompareLimits = DEFAULT_LIMITS,
): Comparison {
  const findings = createFindings(rules, limits.maxDifferences)
  const resultSoFar = () => ({ kind: 'compared', ...findings.result() }) as const
  // Each side has its own validators, so a 304 does not show which body the side would have sent.
  if (isNotModifiedOnOneSide(legacy.status, service.status)) return { kind: 'uncomparable', reason: 'conditional' }
  if (legacy.status !== service.status) {
    if (!findings.areEquivalent(legacy.status, service.status)) {
      findings.differ(['status'], 'status', `${legacy.status}`, `${service.status}`)
      // The rest of an error response differs too, and would be reported beside its cause.
      if (findings.result().differences.length > 0) return resultSoFar()
    } else findings.forgive()
  }
  compareHeaders(legacy.headers, service.headers, findings)
  const reason = compareBodies(legacy, service, findings, limits)
  // Differences in the header fields count even if the bodies cannot be compared.
  const result = resultSoFar()
  return reason === undefined || result.differences.length > 0 ? result : { kind: 'uncomparable', reason }
}

function isNotModifiedOnOneSide(status: number, other: number): boolean {
  return (status === 304 && other === 200) || (status === 200 && other === 304)
}

function compareBodies(legacy: ComparedResponse, service: ComparedResponse, findings: Findings, limits: CompareLimits) {
  const type = joinedField(legacy.headers, 'content-type')
  const otherType = joinedField(service.headers, 'content-type')
  if (familyOf(type) === 'stream' || familyOf(otherType) === 'stream') return 'streaming'
  if (legacy.status === 206 || service.status === 206) return 'partial'
  if (legacy.isTruncated || service.isTruncated) return 'truncated'
  const coding = joinedField(legacy.headers, 'content-encoding')
  const otherCoding = joinedField(service.headers, 'content-encoding')
  // Most responses have the same bytes and end here.
  if (coding === otherCoding && type === otherType && equalBytes(legacy.body, service.body)) return undefined
  const decoded = decodeBody(legacy.body, coding, limits)
  if (decoded.kind === 'uncomparable') return decoded.reason
  const other = decodeBody(service.body, otherCoding, limits)
  if (other.kind === 'uncomparable') return other.reason
  const bytes = decoded.kind === 'decoded' ? decoded.bytes : undefined
  const otherBytes = other.kind === 'decoded' ? other.bytes : undefined
  if (bytes === undefined || otherBytes === undefined) {
    if (bytes !== otherBytes)
      findings.differ([BODY], 'malformed', describeFormat(bytes, coding), describeFormat(otherBytes, otherCoding))
    else compareBytes(legacy.body, service.body, findings)
    return undefined
  }
  if (type === otherType && equalBytes(bytes, otherBytes)) return undefined
  return compareDecoded({ bytes, type }, { bytes: otherBytes, type: otherType }, findings, limits)
}

type Body = { readonly bytes: Uint8Array; readonly type: string }

function compareDecoded(
  legacy: Body,
  service: Body,
  findings: Findings,
  limits: CompareLimits,
): Uncomparable | undefined {
  const path: Path = [BODY]
  if ((legacy.bytes.length === 0) !== (service.bytes.length === 0)) {
    const isEmpty = legacy.bytes.length === 0
    findings.differ(
      path,
      isEmpty ? 'extra' : 'missing',
      isEmpty ? null : digest(legacy.bytes),
      isEmpty ? digest(service.bytes) : null,
    )
    return undefined
  }
  const content = readContent(legacy, limits)
  const other = readContent(service, limits)
  if (content.kind === 'uncomparable') return content.reason
  if (other.kind === 'uncomparable') return other.reason
  if (content.kind === 'malformed' && other.kind === 'malformed') compareBytes(legacy.bytes, service.bytes, findings)
  else if (content.kind === 'malformed' || other.kind === 'malformed') {
    findings.differ(path, 'malformed', describeFormat(content, legacy.type), describeFormat(other, service.type))
  } else if (content.kind === 'json' && other.kind === 'json')
    compareJson(content.document, other.document, path, findings)
  else if (content.kind === 'markup' && other.kind === 'markup') compareMarkup(content.root, other.root, path, findings)
  else if (content.kind === 'text' && other.kind === 'text') compareText(content.lines, other.lines, path, findings)
  else if (content.kind === 'bytes' && other.kind === 'bytes') compareBytes(legacy.bytes, service.bytes, findings)
  else findings.differ(path, 'type', content.kind, other.kind)
  return undefined
}

type Content =
  | { readonly kind: 'json'; readonly document: JsonDocument }
  | { readonly kind: 'markup'; readonly root: MarkupElement }
  | { readonly kind: 'text'; readonly lines: TextLines }
  | { readonly kind: 'bytes' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'uncomparable'; readonly reason: Uncomparable }

function readContent({ bytes, type }: Body, limits: CompareLimits): Content {
  const family = familyOf(type)
  if (family === 'bytes' || family === 'stream') return { kind: 'bytes' }
  const text = decodeText(bytes, type)
  // The bytes are not valid in the charset. A body without a media type is then not text.
  if (text === undefined) return family === 'unknown' ? { kind: 'bytes' } : { kind: 'malformed' }
  return READERS[family](text, limits)
}

const READERS: Record<Exclude<MediaFamily, 'bytes' | 'stream'>, (text: string, limits: CompareLimits) => Content> = {
  json: (text, limits) => {
    const read = readJson(text, limits)
    return read.kind === 'read' ? { kind: 'json', document: read.document } : unreadContent(read.kind)
  },
  'json-lines': readJsonLines,
  html: (text, limits) => {
    const read = readHtml(text, limits)
    return read.kind === 'read' ? { kind: 'markup', root: read.root } : unreadContent(read.kind)
  },
  xml: (text, limits) => {
    const read = readXml(text, limits)
    return read.kind === 'read' ? { kind: 'markup', root: read.root } : unreadContent(read.kind)
  },
  form: (text, limits) => {
    const document = readForm(text, limits)
    return document === undefined ? unreadContent('too-complex') : { kind: 'json', document }
  },
  text: readText,
  unknown: (text, limits) => (text.includes('\0') ? { kind: 'bytes' } : readText(text, limits)),
}

function readText(text: string, limits: CompareLimits): Content {
  const lines = readLines(text, limits)
  return lines === undefined ? unreadContent('too-complex') : { kind: 'text', lines }
}

/** As a list of the values of its lines; the limits apply to all lines together. */
function readJsonLines(text: string, limits: CompareLimits): Content {
  const lines = readLines(text, limits)
  if (lines === undefined) return unreadContent('too-complex')
  const values: JsonValue[] = []
  const noneRepeated = new Map<never, never>()
  let allRepeated: JsonDocument['repeated'] = noneRepeated
  for (const line of lines) {
    if (line.trim() === '') continue
    const read = readJson(line, limits)
    if (read.kind !== 'read') return unreadContent(read.kind)
    values.push(read.document.root)
    if (read.document.repeated.size > 0) allRepeated = new Map([...allRepeated, ...read.document.repeated])
  }
  return { kind: 'json', document: { root: values, repeated: allRepeated } }
}

function unreadContent(kind: 'malformed' | 'too-deep' | 'too-complex'): Content {
  return kind === 'malformed' ? { kind } : { kind: 'uncomparable', reason: kind }
}

/** In the charset of the media type, or in UTF-8; undefined if the bytes are not valid in it. */
function decodeText(bytes: Uint8Array, type: string): string | undefined {
  const charset = /;\s?charset="?([\w:.-]{1,40})/i.exec(type)?.[1] ?? 'utf-8'
  try {
    return new TextDecoder(charset, { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** Bytes of an unknown format, by length and digest. */
function compareBytes(legacy: Uint8Array, service: Uint8Array, findings: Findings): void {
  if (equalBytes(legacy, service)) return
  findings.differ([BODY], legacy.length === service.length ? 'value' : 'length', digest(legacy), digest(service))
}

function digest(bytes: Uint8Array): string {
  return `${bytes.length} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}`
}

function describeFormat(content: unknown, format: string): string {
  const isMalformed = content === undefined || (content as Content).kind === 'malformed'
  return isMalformed ? `not ${format}` : format
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0
}

/** The values of all lines of a field, joined; `''` without such a field. */
function joinedField(headers: HeaderList, name: string): string {
  const values: string[] = []
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i]!.toLowerCase() === name) values.push(headers[i + 1]!.trim())
  }
  return values.join(', ')
}
