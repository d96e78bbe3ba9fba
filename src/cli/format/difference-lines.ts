// The table of differences for a person: two lines for each, what it is and an example of it. All of it was said by clients
// and applications, so all of it goes through `paint`.
import type { DifferenceSummary, DifferencesResponse } from '../../admin/contract/comparisons.ts'
import { showSince, showTime } from './durations.ts'
import { grouped, percent, shareText } from './numbers.ts'
import {
  type Cell,
  count,
  isTooWide,
  paint,
  type Screen,
  SET_IN,
  shortened,
  type Tone,
  table,
  tableUnderNames,
} from './print.ts'

export type Shown = { readonly now: number; readonly hasNoise: boolean }

export function differenceLines(view: DifferencesResponse, { now, hasNoise }: Shown, on: Screen): string {
  const { context, differences, comparisons, pairs, from, fieldsLeftOut } = view
  const since = `since ${showTime(from, now)}`
  if (comparisons === 0) {
    return paint(`${context}: nothing was compared ${since}; strangler shadow ${context} 10 begins with it`, on)
  }
  const of = `${counted(comparisons, 'comparison')} ${showSince(from, view.dataSince, now)}`
  if (differences.length === 0) return paint(`${context}: no differences in ${of}`, on)
  const shown = differences.filter(({ verdict }) => hasNoise || verdict !== 'noise')
  const folded = differences.length - shown.length
  const ruled = differences.filter((one) => !shown.includes(one) && one.note?.ruling === 'noise').length
  const byWhom = ruled === 0 ? '' : ` (${ruled} because it was ruled so)`
  return [
    paint(`${context}: ${of}, and ${counted(pairs, 'pair')} of legacy with itself`, on),
    '',
    ...(shown.length === 0 ? [paint({ text: 'nothing but noise', tone: 'good' }, on)] : rowLines(shown, now, on)),
    ...(folded === 0
      ? []
      : [
          paint(
            {
              text: `${count(folded, 'field')} of noise${byWhom}; --all shows ${folded === 1 ? 'it' : 'them'}`,
              tone: 'faint',
            },
            on,
          ),
        ]),
    ...(fieldsLeftOut === 0
      ? []
      : [
          paint(
            {
              text: `fields were seen ${counted(fieldsLeftOut, 'time')} that are not listed: there were too many`,
              tone: 'warning',
            },
            on,
          ),
        ]),
  ].join('\n')
}

const HEADS = ['verdict', 'route', 'field', 'differs', 'noise', 'fingerprint']
/** Where the second line begins: under the route. */
const INDENT = ' '.repeat('inconclusive'.length + 2)

function rowLines(rows: readonly DifferenceSummary[], now: number, on: Screen): string[] {
  const cells = rows.map((row): Cell[] => [verdictCell(row), row.route, fieldOf(row), ...numberCells(row)])
  // So wide at least that what stands beneath begins under the route.
  const heads = HEADS.map((head) => (head === 'verdict' ? head.padEnd(INDENT.length - 2) : head))
  if (isTooWide(heads, cells, on)) return narrowLines(rows, now, on)
  const [head = '', ...lines] = table(heads, cells, on).split('\n')
  return [head, ...lines.flatMap((line, i) => [line, `${INDENT}${beneath(rows[i]!, now, INDENT.length, on)}`])]
}

function narrowLines(rows: readonly DifferenceSummary[], now: number, on: Screen): string[] {
  const named = rows.map((row) => ({
    names: nameLines([row.route, fieldOf(row)], on),
    cells: [verdictCell(row), ...numberCells(row)],
    beneath: [beneath(row, now, SET_IN.length, on)],
  }))
  const heads = HEADS.filter((head) => head !== 'route' && head !== 'field')
  return tableUnderNames(heads, named, on).split('\n')
}

/** On one line where there is room for it, else on one each. */
export function nameLines(names: readonly string[], { width }: Screen): Cell[] {
  const line = names.join('  ')
  const lines = width === undefined || [...line].length <= width ? [line] : names
  return lines.map((text) => ({ text, tone: 'strong' }))
}

function fieldOf({ kind, path }: DifferenceSummary): string {
  return `${kind} ${path}`
}

function numberCells({ sides, self, fingerprint }: DifferenceSummary): Cell[] {
  return [shareText(sides.share), self.share === null ? '-' : `${percent(self.share.share)} %`, fingerprint]
}

function verdictCell({ state, verdict }: DifferenceSummary): Cell {
  return state === 'resolved' ? { text: state, tone: 'good' } : { text: verdict, tone: TONES[verdict] }
}

const TONES = { real: 'bad', inconclusive: 'warning', noise: 'faint' } as const satisfies Record<string, Tone>

/** @param indent how far in it will stand */
function beneath(row: DifferenceSummary, now: number, indent: number, on: Screen): string {
  const { example } = row
  const values = example === null ? 'no example is kept' : valuesText(example.legacy, example.service)
  const text = [values, ...saidOf(row, now)].join('; ')
  const width = on.width === undefined ? undefined : Math.max(0, on.width - indent)
  return paint({ text: shortened(text, width), tone: 'faint' }, on)
}

/** `10.00 → 10.01`: legacy, then the service. */
export function valuesText(legacy: string | null, service: string | null): string {
  return `${valueText(legacy)} → ${valueText(service)}`
}

export function valueText(value: string | null): string {
  if (value === null) return '(nothing)'
  return value === '' ? '""' : value
}

/** What operators have said of it, and what became of that. */
export function saidOf({ note, state }: DifferenceSummary, now: number): string[] {
  if (note === null) return []
  const who = `by ${note.by}${note.reason === null ? '' : ` (${note.reason})`}`
  const mended = note.resolvedAt === null ? '' : showTime(note.resolvedAt, now)
  return [
    ...(note.ruling === null ? [] : [`ruled ${note.ruling} ${who}`]),
    ...(state === 'open'
      ? []
      : [state === 'resolved' ? `resolved ${mended} ${who}` : `REOPENED: resolved ${mended} ${who}`]),
  ]
}

function counted(number: number, noun: string): string {
  return `${grouped(number)} ${noun}${number === 1 ? '' : 's'}`
}
