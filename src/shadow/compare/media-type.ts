// Selects how a body is compared, by its media type.

export type MediaFamily = 'json' | 'json-lines' | 'html' | 'xml' | 'form' | 'text' | 'bytes' | 'stream' | 'unknown'

/** @param contentType the value of the field, or `''` */
export function familyOf(contentType: string): MediaFamily {
  if (contentType === '') return 'unknown'
  const type = contentType.split(';', 1)[0]!.trim().toLowerCase()
  return FAMILIES.find(([matches]) => matches.test(type))?.[1] ?? 'bytes'
}

/** The first match counts. The suffixes are those of RFC 6839 and RFC 8091. */
const FAMILIES: readonly (readonly [RegExp, MediaFamily])[] = [
  [/^text\/event-stream$|^multipart\/x-mixed-replace$|^application\/grpc(?:$|[+-])/, 'stream'],
  [/^application\/(?:x-ndjson|ndjson|jsonl|x-jsonlines)$/, 'json-lines'],
  [/^(?:application|text)\/json$|\+json$/, 'json'],
  [/^text\/html$/, 'html'],
  [/^(?:application|text)\/xml$|\+xml$/, 'xml'],
  [/^application\/x-www-form-urlencoded$/, 'form'],
  [/^text\/|^application\/(?:javascript|ecmascript|x-javascript|yaml|x-yaml|toml|sql)$/, 'text'],
]
