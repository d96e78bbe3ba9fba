// The changes that Express middleware makes to a request, and the resulting request head. Pure.
import type { IncomingHttpHeaders } from 'node:http'
import { mayChangeRequestField } from '../../model/gateway-fields.ts'
import type { HeaderList, RequestHead } from '../../model/request-head.ts'
import { type HeadRules, readHead } from './read-head.ts'
import { Refusal } from './refusal.ts'

/** The two properties of a Node request that middleware may change. */
type ChangeableRequest = { readonly url?: string | undefined; readonly headers: IncomingHttpHeaders }

/** A field that middleware changed, with its new lines; no lines if middleware removed it. */
type ChangedField = { readonly name: string; readonly values: readonly string[] }

/**
 * Applies the changes to the head: changed fields are replaced, the other lines keep their order, spelling and repeats.
 * Changes of identity, framing, forwarding and hop-by-hop fields are ignored.
 *
 * @returns the given head itself if no relevant field changed
 * @throws {Error} if a change must not be forwarded; the message names the field, never its value
 */
export function applyChanges(
  head: RequestHead,
  original: ChangeableRequest,
  changed: ChangeableRequest,
  rules: HeadRules,
): RequestHead {
  const { identity } = rules
  const fields = changedFields(original.headers, changed.headers)
  for (const lower of fields.keys()) {
    const mayChange =
      mayChangeRequestField(lower) && lower !== identity.user?.header && !identity.claimHeaders?.has(lower)
    if (!mayChange) fields.delete(lower)
  }
  if (fields.size === 0 && original.url === changed.url) return head
  for (const field of fields.values()) checkField(field)
  if (typeof changed.url !== 'string' || !TARGET.test(changed.url))
    throw new Error('req.url has characters that are not valid')
  const raw = {
    method: head.method,
    target: changed.url,
    majorVersion: 1,
    minorVersion: head.minorVersion,
    rawHeaders: replaceFields(head.headers, fields),
    peerAddress: head.peerAddress,
    secure: head.secure,
  }
  const changedHead = readHead(raw, rules)
  if (changedHead instanceof Refusal) throw new Error(`the gateway refuses the changed request: ${changedHead.detail}`)
  return changedHead.path === head.path ? changedHead : { ...changedHead, isPathChanged: true }
}

/** The changed fields by name in lower case. Node joins repeated lines, so a value is compared as one text. */
function changedFields(original: IncomingHttpHeaders, changed: IncomingHttpHeaders): Map<string, ChangedField> {
  const fields = new Map<string, ChangedField>()
  for (const name of Object.keys(original)) {
    if (changed[name] == null) fields.set(name, { name, values: [] })
  }
  for (const [name, value] of Object.entries(changed)) {
    if (value == null || isSame(value, original[name])) continue
    fields.set(name.toLowerCase(), { name, values: textsOf(name, value) })
  }
  return fields
}

function isSame(value: unknown, original: string | string[] | undefined): boolean {
  return original !== undefined && JSON.stringify(value) === JSON.stringify(original)
}

function textsOf(name: string, value: unknown): string[] {
  return [value].flat().map((part) => {
    if (typeof part === 'string' || typeof part === 'number') return String(part)
    throw new Error(`req.headers[${JSON.stringify(name)}] is not a text, a number or a list of these`)
  })
}

/** RFC 9110 sections 5.1 and 5.5. Node truncates a character above 0xff to its low byte, which can be a line break. */
function checkField({ name, values }: ChangedField): void {
  if (!TOKEN.test(name)) throw new Error(`req.headers has the name ${JSON.stringify(name)}, which is not a field name`)
  if (values.every((value) => FIELD_VALUE.test(value))) return
  throw new Error(`req.headers[${JSON.stringify(name)}] has characters that are not valid in a field`)
}

const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
/** A request target without spaces, control characters and `#`; `readHead` checks the rest of the path. */
const TARGET = /^[\x21\x22\x24-\x7e\x80-\xff]+$/

/**
 * Removes the changed names from `Connection` too: with them a client could remove a field that middleware set
 * (RFC 9110 section 7.6.1).
 */
function replaceFields(raw: HeaderList, fields: ReadonlyMap<string, ChangedField>): string[] {
  const list: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    const lower = name.toLowerCase()
    if (fields.has(lower)) continue
    if (lower !== 'connection') {
      list.push(name, value)
      continue
    }
    const tokens = value.split(',').filter((token) => !fields.has(token.trim().toLowerCase()))
    if (tokens.length > 0) list.push(name, tokens.join(','))
  }
  for (const { name, values } of fields.values()) {
    for (const value of values) list.push(name, value)
  }
  return list
}
