// Parses a HAR 1.2 document (http://www.softwareishard.com/blog/har-12-spec), as browsers and proxies save it. Each entry is validated:
// HAR files come from other programs and are edited by hand.
import { isSafe } from '../shadow/capture/eligibility.ts'
import { isFieldValue, type ParsedEntry, skipped, UnusableRecording, unreadable } from './recording.ts'

/** @returns the entries in order @throws {UnusableRecording} if the text is not a HAR */
export function readHar(text: string): ParsedEntry[] {
  const entries = entriesOf(parse(text.replace(/^\ufeff/, '')))
  return entries.map((entry) => readEntry(objectAt(objectAt(entry)?.request)))
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The message of the parser would quote the document.
    throw new UnusableRecording('it is not a JSON document; check that the file is complete')
  }
}

function entriesOf(document: unknown): readonly unknown[] {
  const entries = objectAt(objectAt(document)?.log)?.entries
  if (!Array.isArray(entries)) throw new UnusableRecording('it is JSON but not a HAR: it has no list at log.entries')
  return entries
}

function readEntry(request: Readonly<Record<string, unknown>> | undefined): ParsedEntry {
  const { method, url } = request ?? {}
  if (request === undefined || typeof method !== 'string' || typeof url !== 'string') {
    return unreadable('has no request with "method" and "url"')
  }
  if (!isSafe(method)) return skipped('unsafe-method')
  if (/^wss?:/i.test(url)) return skipped('upgrade')
  const parts = /^(https?):\/\/([^/?#]+)([^#]*)/is.exec(url)
  if (parts === null) return skipped('not-http')
  if (hasBody(request)) return skipped('with-body')
  const written = readFields(request.headers)
  if (written === undefined) return unreadable('has header fields that HTTP cannot carry')
  const [, scheme = '', authority = '', target = ''] = parts
  const fields = withoutHops(written)
  if (fields === undefined) return skipped('upgrade')
  return {
    kind: 'request',
    request: {
      method,
      target: target.startsWith('/') ? target : `/${target}`,
      // Browsers do not send the credentials in a URL, or send them as a field.
      host: authority.slice(authority.lastIndexOf('@') + 1).toLowerCase(),
      secure: scheme.toLowerCase() === 'https',
      client: undefined,
      fields,
    },
  }
}

function hasBody({ postData, bodySize }: Readonly<Record<string, unknown>>): boolean {
  return (postData !== undefined && postData !== null) || (typeof bodySize === 'number' && bodySize > 0)
}

/** `[name, value, ...]`; undefined if a field is invalid. Pseudo fields of HTTP/2 (`:path`) repeat the URL and are left out. */
function readFields(headers: unknown): string[] | undefined {
  if (headers === undefined) return []
  if (!Array.isArray(headers)) return undefined
  const fields: string[] = []
  for (const header of headers) {
    const { name, value } = objectAt(header) ?? {}
    if (typeof name !== 'string' || typeof value !== 'string') return undefined
    if (name.startsWith(':')) continue
    if (!NAME.test(name) || !isFieldValue(value)) return undefined
    fields.push(name, value.trim())
  }
  return fields
}

/** RFC 9110 section 5.6.2. */
const NAME = /^[\w!#$%&'*+.^`|~-]{1,256}$/

/** Removes hop-by-hop fields and those that Connection names; undefined for an upgrade request. */
function withoutHops(fields: readonly string[]): string[] | undefined {
  const dropped = new Set(HOPS)
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase()
    if (name === 'upgrade') return undefined
    if (name === 'connection') for (const option of fields[i + 1]!.split(',')) dropped.add(option.trim().toLowerCase())
  }
  return fields.filter((_, i) => !dropped.has(fields[i - (i % 2)]!.toLowerCase()))
}

const HOPS = [
  ...['host', 'connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'content-length'],
  ...[
    'expect',
    'proxy-authorization',
    'http2-settings',
    'max-forwards',
    'via',
    'cdn-loop',
    'traceparent',
    'tracestate',
  ],
]

function objectAt(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
}
