// Compares text by line. A line that begins with a name (`host: x`, `host=x`) has that name in its path, so that one noisy line does
// not hide the others.

import type { Findings } from './findings.ts'
import { textHash } from './json-hash.ts'
import { alignByKey, pairLeftOvers } from './list-alignment.ts'
import { EACH, keySegment, type Path } from './path.ts'

export type TextLines = readonly string[]

/** Lines without LF or CRLF; undefined above `maxNodes` lines. */
export function readLines(text: string, { maxNodes }: { readonly maxNodes: number }): TextLines | undefined {
  const lines = text.split('\n', maxNodes + 1)
  if (lines.length > maxNodes) return undefined
  return lines.map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))
}

export function compareText(legacy: TextLines, service: TextLines, path: Path, findings: Findings): void {
  const aligned = pairLeftOvers(alignByKey(legacy.map(textHash), service.map(textHash)))
  const sameLength = legacy.length === service.length
  const withinLine = (line: string, compare: () => void): void => {
    path.push(lineSegment(line))
    compare()
    path.pop()
  }
  for (const [i, j] of aligned.pairs) {
    const line = legacy[i]!
    const other = service[j]!
    if (line === other) continue
    if (lineSegment(line) === lineSegment(other)) withinLine(line, () => findings.leaf(path, line, other))
    else {
      withinLine(line, () => findings.differ(path, 'missing', line, null))
      withinLine(other, () => findings.differ(path, 'extra', null, other))
    }
  }
  for (const i of aligned.onlyLegacy) withinLine(legacy[i]!, () => findings.differ(path, 'missing', legacy[i]!, null))
  for (const j of aligned.onlyService) withinLine(service[j]!, () => findings.differ(path, 'extra', null, service[j]!))
  if (!sameLength) findings.differ(path, 'length', `${legacy.length}`, `${service.length}`)
}

function lineSegment(line: string): string {
  const name = /^\s{0,32}([A-Za-z][\w.-]{0,40})\s{0,8}[:=]/.exec(line)?.[1]
  return name === undefined ? EACH : keySegment(name)
}
