// Exports a difference as a shell script with curl. Paths and fields come from clients; each stays one argument, whatever it
// contains. Pure.
import type { Side } from '../../model/route.ts'
import type { DifferenceExport, ExportRequest, Piece } from './export-request.ts'

export function curlOf({ sides }: DifferenceExport, request: ExportRequest, remarks: readonly string[]): string {
  const lines = [
    '#!/bin/sh',
    ...remarks.map((remark) => `# ${remark}`),
    '# Sends the request to both sides. LEGACY_URL and SERVICE_URL replace the addresses of the gateway.',
    ...(request.variables.length === 0
      ? []
      : [`# Masked values, set these variables: ${request.variables.join(', ')}`]),
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
    // With -X HEAD curl would wait for a body.
    `curl -sS -i ${method === 'HEAD' ? '--head' : `-X ${quoted(method)}`}`,
    // By default curl expands {a,b} and [1-3] in a path, and removes /../.
    '--globoff --path-as-is --compressed',
    ...headers.map(({ name, value }) => `-H ${fieldOf(name, value)}`),
    // With --url, an address in a variable cannot become another option.
    `--url "\${${BASE[side]}%/}"${targets[side].map(word).join('')}`,
  ]
  return parts.join(' \\\n  ')
}

/** curl omits a field without a value, unless the field ends in a semicolon. */
function fieldOf(name: string, value: readonly Piece[]): string {
  if (value.every((piece) => 'text' in piece && piece.text === '')) return quoted(`${name};`)
  return `${quoted(`${name}: `)}${value.map(word).join('')}`
}

/** In double quotes a variable is one word, and the shell does not expand its value again. */
function word(piece: Piece): string {
  return 'text' in piece ? quoted(piece.text) : `"\${${piece.variable}:?}"`
}

/** In single quotes only the closing quote has a meaning to the shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
