// The table of differences for a person: a row for each difference, and a line with an example below it. The text comes from
// clients and applications, so `paint` escapes all of it.
import type { DifferenceSummary, DifferencesResponse } from '../../admin/contract/comparisons.ts'
import { showSince, showTime } from './durations.ts'
import { formatNumber, formatPercent, formatShare } from './numbers.ts'
import {
  type Cell,
  countNoun,
  formatNamedRows,
  formatTable,
  INDENT,
  isTooWide,
  paint,
  type Screen,
  type Tone,
  truncate,
} from './print.ts'

type DifferenceListOptions = { readonly now: number; readonly hasNoise: boolean }

export function differenceLines(
  view: DifferencesResponse,
  { now, hasNoise }: DifferenceListOptions,
  screen: Screen,
): string {
  const { context, differences, comparisons, pairs, from, fieldsLeftOut } = view
  const since = `since ${showTime(from, now)}`
  if (comparisons === 0) {
    return paint(`${context}: no comparisons ${since}; start them with strangler shadow ${context} 10`, screen)
  }
  const scope = `${countText(comparisons, 'comparison')} ${showSince(from, view.dataSince, now)}`
  if (differences.length === 0) return paint(`${context}: no differences in ${scope}`, screen)
  const rows = differences.filter(({ verdict }) => hasNoise || verdict !== 'noise')
  const hiddenRows = differences.filter((row) => !rows.includes(row))
  return [
    paint(`${context}: ${scope}, and ${countText(pairs, 'pair')} of legacy with itself`, screen),
    '',
    ...(rows.length === 0 ? [paint({ text: 'only noise', tone: 'good' }, screen)] : rowLines(rows, now, screen)),
    ...hiddenNoiseLines(hiddenRows, screen),
    ...leftOutLines(fieldsLeftOut, screen),
  ].join('\n')
}

function hiddenNoiseLines(rows: readonly DifferenceSummary[], screen: Screen): string[] {
  if (rows.length === 0) return []
  const ruled = rows.filter(({ note }) => note?.ruling === 'noise').length
  const byRuling = ruled === 0 ? '' : ` (${ruled} by a ruling)`
  const text = `${countNoun(rows.length, 'field')} of noise${byRuling}; --all shows ${rows.length === 1 ? 'it' : 'them'}`
  return [paint({ text, tone: 'faint' }, screen)]
}

function leftOutLines(fieldsLeftOut: number, screen: Screen): string[] {
  if (fieldsLeftOut === 0) return []
  const text = `too many fields: others differed ${countText(fieldsLeftOut, 'time')} and are not listed`
  return [paint({ text, tone: 'warning' }, screen)]
}

const HEADS = ['verdict', 'route', 'field', 'differs', 'noise', 'fingerprint']
/** The second line of a row begins below the route. */
const ROUTE_INDENT = ' '.repeat('inconclusive'.length + 2)

function rowLines(rows: readonly DifferenceSummary[], now: number, screen: Screen): string[] {
  const cells = rows.map((row): Cell[] => [verdictCell(row), row.route, fieldOf(row), ...numberCells(row)])
  // The first column is at least so wide that the second line begins below the route.
  const heads = HEADS.map((head) => (head === 'verdict' ? head.padEnd(ROUTE_INDENT.length - 2) : head))
  if (isTooWide(heads, cells, screen)) return narrowLines(rows, now, screen)
  const [head = '', ...lines] = formatTable(heads, cells, screen).split('\n')
  const exampleLines = rows.map((row) => `${ROUTE_INDENT}${exampleLine(row, now, ROUTE_INDENT.length, screen)}`)
  return [head, ...lines.flatMap((line, i) => [line, exampleLines[i]!])]
}

function narrowLines(rows: readonly DifferenceSummary[], now: number, screen: Screen): string[] {
  const namedRows = rows.map((row) => ({
    names: nameLines([row.route, fieldOf(row)], screen),
    cells: [verdictCell(row), ...numberCells(row)],
    details: [exampleLine(row, now, INDENT.length, screen)],
  }))
  const heads = HEADS.filter((head) => head !== 'route' && head !== 'field')
  return formatNamedRows(heads, namedRows, screen).split('\n')
}

/** All names on one line if they fit, else one name on each line. */
function nameLines(names: readonly string[], { width }: Screen): Cell[] {
  const line = names.join('  ')
  const lines = width === undefined || [...line].length <= width ? [line] : names
  return lines.map((text) => ({ text, tone: 'strong' }))
}

function fieldOf({ kind, path }: DifferenceSummary): string {
  return `${kind} ${path}`
}

function numberCells({ sides, self, fingerprint }: DifferenceSummary): Cell[] {
  return [formatShare(sides.share), self.share === null ? '-' : `${formatPercent(self.share.share)} %`, fingerprint]
}

function verdictCell({ state, verdict }: DifferenceSummary): Cell {
  return state === 'resolved' ? { text: state, tone: 'good' } : { text: verdict, tone: TONES[verdict] }
}

const TONES = { real: 'bad', inconclusive: 'warning', noise: 'faint' } as const satisfies Record<string, Tone>

/** @param indent the width of its indentation, which reduces its own width */
function exampleLine(row: DifferenceSummary, now: number, indent: number, screen: Screen): string {
  const { example } = row
  const values = example === null ? 'no example is stored' : valuesText(example.legacy, example.service)
  const text = [values, ...noteParts(row, now)].join('; ')
  const width = screen.width === undefined ? undefined : Math.max(0, screen.width - indent)
  return paint({ text: truncate(text, width), tone: 'faint' }, screen)
}

/** `10.00 → 10.01`: legacy, then the service. */
function valuesText(legacy: string | null, service: string | null): string {
  return `${valueText(legacy)} → ${valueText(service)}`
}

export function valueText(value: string | null): string {
  if (value === null) return '(nothing)'
  return value === '' ? '""' : value
}

/** The ruling and resolution of an operator, and whether the difference has occurred again. */
export function noteParts({ note, state }: DifferenceSummary, now: number): string[] {
  if (note === null) return []
  const author = `by ${note.by}${note.reason === null ? '' : ` (${note.reason})`}`
  const resolution = `resolved ${note.resolvedAt === null ? '' : showTime(note.resolvedAt, now)} ${author}`
  return [
    ...(note.ruling === null ? [] : [`ruled ${note.ruling} ${author}`]),
    ...(state === 'open' ? [] : [state === 'resolved' ? resolution : `REOPENED: ${resolution}`]),
  ]
}

function countText(number: number, noun: string): string {
  return `${formatNumber(number)} ${noun}${number === 1 ? '' : 's'}`
}
