// One difference for a person: its facts, and an example with both answers side by side.
import type { DifferenceResponse, DifferenceSummary, MaskedExample } from '../../admin/contract/comparisons.ts'
import { type AnswerLine, bodyLines, headerLines, isPartOf } from './answer-lines.ts'
import { noteParts, valueText } from './difference-lines.ts'
import { showDuration, showMoment, showTime } from './durations.ts'
import { formatNumber, formatShare } from './numbers.ts'
import { type Cell, formatTable, paint, type Screen, truncate } from './print.ts'
import { differencesWithContext, isDifferent, type Row, sideBySide } from './side-by-side.ts'

export function exampleLines(
  { difference, examples, from, noise }: DifferenceResponse,
  now: number,
  screen: Screen,
): string {
  const [newest] = examples
  return [
    ...factLines(difference, from, now, screen),
    '',
    ...(newest === undefined ? ['no example is stored'] : exampleBlock(newest, difference, new Set(noise), screen)),
    ...(examples.length > 1
      ? ['', paint({ text: `${examples.length - 1} more with --json`, tone: 'faint' }, screen)]
      : []),
  ].join('\n')
}

function factLines(row: DifferenceSummary, from: number, now: number, screen: Screen): string[] {
  const { sides, self, verdict, state, firstSeen, lastSeen } = row
  const facts: [string, Cell][] = [
    ['field', { text: `${row.kind} ${row.path}`, tone: 'strong' }],
    ['route', `${row.route} of ${row.context}, difference ${row.fingerprint}`],
    ['verdict', [state === 'resolved' ? 'resolved' : verdict, ...noteParts(row, now)].join('; ')],
    [
      'differs',
      `${formatShare(sides.share)}: ${formatNumber(sides.count)} of ${formatNumber(sides.of)} comparisons since ${showTime(from, now)}`,
    ],
    [
      'noise',
      `${formatShare(self.share)}: ${formatNumber(self.count)} of ${formatNumber(self.of)} pairs of legacy with itself`,
    ],
    [
      'seen',
      firstSeen === null || lastSeen === null
        ? 'not in this period'
        : `first ${showTime(firstSeen, now)}, last ${showTime(lastSeen, now)}`,
    ],
  ]
  return facts.map(([name, cell]) => `${name.padEnd(9)}${paint(cell, screen)}`)
}

function exampleBlock(
  { at: time, request, answeredBy, legacy, service, differences }: MaskedExample,
  row: DifferenceSummary,
  noise: ReadonlySet<string>,
  screen: Screen,
): string[] {
  const isNoise = ({ kind, path }: DifferingField) => noise.has(`${kind} ${path}`)
  const marks: Marks = {
    faults: differences.filter((difference) => !isNoise(difference)),
    noise: differences.filter(isNoise),
  }
  const fields = differences.map((difference): Cell[] => {
    const isThis = difference.kind === row.kind && difference.path === row.path
    const remarks = [
      difference.times > 1 ? `${difference.times} places` : '',
      isNoise(difference) ? 'noise' : '',
    ].filter(Boolean)
    const name = `${difference.kind} ${difference.path}${remarks.length === 0 ? '' : ` (${remarks.join(', ')})`}`
    return [isThis ? { text: name, tone: 'bad' } : name, valueText(difference.legacy), valueText(difference.service)]
  })
  const answers: Cell[][] = [
    ['status', String(legacy.status), String(service.status)],
    ['time', showDuration(legacy.ms), showDuration(service.ms)],
  ]
  return [
    paint(`${showMoment(time)}  ${request.method} ${request.target}, answered by ${answeredBy}`, screen),
    // A field is never cut: half of its path may be the path of another field.
    formatTable(['', 'legacy', 'service'], [...answers, ...fields], screen, ['']),
    ...textLines('headers', headerLines(legacy.headers), headerLines(service.headers), marks, screen),
    ...bodyTextLines(legacy.body, service.body, marks, screen),
  ]
}

type DifferingField = Pick<MaskedExample['differences'][number], 'kind' | 'path'>
/** The fields in which the comparison found differences. */
type Marks = { readonly faults: readonly DifferingField[]; readonly noise: readonly DifferingField[] }

function bodyTextLines(legacy: string | null, service: string | null, marks: Marks, screen: Screen): string[] {
  if (legacy === null || service === null) {
    return ['', paint({ text: 'bodies are stored only if both are JSON of at most 16 KiB', tone: 'faint' }, screen)]
  }
  return textLines('body', bodyLines(legacy), bodyLines(service), marks, screen)
}

const CONTEXT_ROWS = 2
/** Columns, if standard output is not a terminal. */
const WITHOUT_SCREEN = 160

const MARKS = { fault: '≠', noise: '~', other: ' ' } as const
type Mark = keyof typeof MARKS
const LEGEND = {
  noise: '~ noise: legacy also differs from itself in this field',
  other: 'not marked: not compared, or allowed to differ by a rule',
} as const

/** Rows that differ are marked with a character, because not all people and terminals distinguish colours. */
function textLines(
  name: string,
  left: readonly AnswerLine[],
  right: readonly AnswerLine[],
  marks: Marks,
  screen: Screen,
): string[] {
  const alignedRows = sideBySide(
    left.map(({ text }) => text),
    right.map(({ text }) => text),
  )
  if (!alignedRows.some(isDifferent)) return ['', paint({ text: `${name}: the same`, tone: 'faint' }, screen)]
  const markOf = markRows(alignedRows, left, right, marks)
  const rows = differencesWithContext(alignedRows, CONTEXT_ROWS)
  const width = Math.max(10, Math.floor(((screen.width ?? WITHOUT_SCREEN) - 5) / 2))
  const lines = rows.map((row) => {
    if (row === undefined) return paint({ text: '  …', tone: 'faint' }, screen)
    const mark = markOf.get(row) ?? 'other'
    const text = `${MARKS[mark]} ${truncate(row.left ?? '', width).padEnd(width)} │ ${truncate(row.right ?? '', width)}`
    return paint(mark === 'fault' ? { text, tone: 'bad' } : text, screen).trimEnd()
  })
  const usedMarks = new Set(markOf.values())
  const legend = (['noise', 'other'] as const).filter((mark) => usedMarks.has(mark))
  return [
    '',
    `${name.padEnd(width + 2)} │`.replace(/ +│$/, ''),
    ...lines,
    ...legend.map((mark) => paint({ text: LEGEND[mark], tone: 'faint' }, screen)),
  ]
}

/** The mark of each row that differs, by the fields in which the comparison found differences. */
function markRows(
  rows: readonly Row[],
  left: readonly AnswerLine[],
  right: readonly AnswerLine[],
  marks: Marks,
): Map<Row, Mark> {
  const markOf = new Map<Row, Mark>()
  let [i, j] = [0, 0]
  for (const row of rows) {
    const lines = [...(row.left === undefined ? [] : [left[i++]!]), ...(row.right === undefined ? [] : [right[j++]!])]
    const isIn = (fields: readonly DifferingField[]) =>
      lines.some(({ place }) => fields.some(({ path }) => isPartOf(path, place)))
    if (isDifferent(row)) markOf.set(row, isIn(marks.faults) ? 'fault' : isIn(marks.noise) ? 'noise' : 'other')
  }
  return markOf
}
