// Prepares a stored request for sending it again: masked values become environment variables. Everything in it came from clients and
// is not trusted. Pure.

import type { Field } from '../../model/comparison.ts'
import type { Example } from '../../model/comparison-example.ts'
import type { SideTargets } from '../../model/comparison-views.ts'
import type { Side } from '../../model/route.ts'

/** A difference, its newest example, and the addresses of both sides. */
export type DifferenceExport = {
  readonly fingerprint: string
  readonly context: string
  readonly route: string
  readonly field: Field
  readonly example: Example
  readonly sides: SideTargets
}

/** Literal text, or a variable for a masked value. */
export type Piece = { readonly text: string } | { readonly variable: string }

type SentField = { readonly name: string; readonly value: readonly Piece[] }

export type ExportRequest = {
  readonly method: string
  readonly targets: Readonly<Record<Side, readonly Piece[]>>
  readonly headers: readonly SentField[]
  readonly variables: readonly string[]
}

export function requestOf({ example, sides }: Pick<DifferenceExport, 'example' | 'sides'>): ExportRequest {
  const { method, headers } = example.request
  const names = new Map<string, number>()
  const sentFields = headers.flatMap((name, i): SentField[] => {
    const value = headers[i + 1] ?? ''
    if (i % 2 === 1 || !isSent(name, value, sides)) return []
    return [{ name, value: MASKED.test(value) ? [{ variable: variableOf(name, names) }] : [{ text: value }] }]
  })
  const targets = { legacy: targetOf(sides.legacy.target), service: targetOf(sides.service.target) }
  const pieces = [...targets.legacy, ...targets.service, ...sentFields.flatMap(({ value }) => value)]
  const variables = new Set(pieces.flatMap((piece) => ('variable' in piece ? [piece.variable] : [])))
  return { method, targets, headers: sentFields, variables: [...variables] }
}

/** The placeholders of `redact`. A value of a client that looks like one becomes a variable too. */
const PLACEHOLDER = /<(?:secret|not shown|credentials|email|token|card|private key|text of \d+ characters)>/
const MASKED = new RegExp(PLACEHOLDER)
const MASKED_IN_TARGET = new RegExp(`${PLACEHOLDER.source}|\\*\\*\\*`, 'g')

/** Always begins with a slash: `@evil.example/` after an address would select another host. */
function targetOf(target: string): Piece[] {
  // Clients do not send fragments.
  const path = `${target.startsWith('/') ? '' : '/'}${target}`.replaceAll('#', '%23')
  const pieces: Piece[] = []
  let done = 0
  let masked = 0
  for (const { 0: placeholder, index } of path.matchAll(MASKED_IN_TARGET)) {
    masked++
    pieces.push({ text: path.slice(done, index) }, { variable: `MASKED_TARGET_${masked}` })
    done = index + placeholder.length
  }
  return [...pieces, { text: path.slice(done) }].filter((piece) => !('text' in piece) || piece.text !== '')
}

/** Has a prefix: for a field `PATH` or `HOME` of a client, the bare name would send the value of that variable. */
function variableOf(name: string, names: Map<string, number>): string {
  const variable = `MASKED_${name.toUpperCase().replace(/[^A-Z0-9]/g, '_')}`
  const uses = names.get(variable) ?? 0
  names.set(variable, uses + 1)
  return uses === 0 ? variable : `${variable}_${uses + 1}`
}

/** RFC 9110 section 5.6.2. Such a name cannot be an option, or a file that curl would read (`-H @file`). */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/

function isSent(name: string, value: string, sides: SideTargets): boolean {
  const lower = name.toLowerCase()
  if (!TOKEN.test(name) || NOT_SENT.has(lower)) return false
  // The host name of one side would be wrong for the other side.
  return lower !== 'host' || !Object.values(sides).some(({ url }) => hostOf(url) === value)
}

function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host : undefined
}

/**
 * Fields that the sender sets itself, and fields with which the gateway marked this request or hop. `X-Forwarded-*` stays, because a
 * response may depend on it.
 */
const NOT_SENT: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'],
  ...['content-length', 'accept-encoding', 'via', 'cdn-loop', 'traceparent', 'tracestate', 'x-request-id', 'x-shadow'],
])
