// A difference as command lines of curl, for sh. Paths and fields were recorded from clients: whatever they hold, it stays
// one argument. Pure.
import type { Side } from '../../model/route.ts'
import type { DifferenceExport, ExportRequest, Piece } from './export-request.ts'

export function curlOf({ sides }: DifferenceExport, request: ExportRequest, remarks: readonly string[]): string {
  const lines = [
    '#!/bin/sh',
    ...remarks.map((remark) => `# ${remark}`),
    '# Asks both sides. LEGACY_URL and SERVICE_URL say where, if it is not where the gateway asks.',
    ...(request.variables.length === 0 ? [] : [`# Masked, and to be set: ${request.variables.join(', ')}`]),
    '',
    ...(['legacy', 'service'] as const).flatMap((side) => [
      `[ -n "\${${BASE[side]}:-}" ] || ${BASE[side]}=${quoted(sides[side].url)}`,
      commandOf(side, request),
      '',
    ]),
  ]
  return lines.join('\n')
}

const BASE = { legacy: 'LEGACY_URL', service: 'SERVICE_URL' } as const satisfies Record<Side, string>

function commandOf(side: Side, { method, headers, targets }: ExportRequest): string {
  const parts = [
    // curl would wait for a body that an answer to HEAD never has.
    `curl -sS -i ${method === 'HEAD' ? '--head' : `-X ${quoted(method)}`}`,
    // Otherwise it reads {a,b} and [1-3] in a path as several, and takes /../ out of it.
    '--globoff --path-as-is --compressed',
    ...headers.map(({ name, value }) => `-H ${fieldOf(name, value)}`),
    // As an option of its own: an address in a variable cannot become another option.
    `--url "\${${BASE[side]}%/}"${targets[side].map(word).join('')}`,
  ]
  return parts.join(' \\\n  ')
}

/** A field without a value would be left out: curl sends it for a semicolon. */
function fieldOf(name: string, value: readonly Piece[]): string {
  if (value.every((piece) => 'text' in piece && piece.text === '')) return quoted(`${name};`)
  return `${quoted(`${name}: `)}${value.map(word).join('')}`
}

/** In double quotes a variable is one word, and what it holds is not read again. */
function word(piece: Piece): string {
  return 'text' in piece ? quoted(piece.text) : `"\${${piece.variable}:?}"`
}

/** In single quotes nothing means anything to a shell but the quote that ends them. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
