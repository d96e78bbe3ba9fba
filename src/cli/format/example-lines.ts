// One difference for a person: what it is, and an example of it side by side.
import type { DifferenceResponse, DifferenceSummary, MaskedExample } from '../../admin/contract/comparisons.ts'
import { bodyLines, headerLines, isPartOf, type Line } from './answer-lines.ts'
import { saidOf, valueText } from './difference-lines.ts'
import { showDuration, showMoment, showTime } from './durations.ts'
import { grouped, shareText } from './numbers.ts'
import { type Cell, paint, type Screen, shortened, table } from './print.ts'
import { aroundDifferences, differs, type Row, sideBySide } from './side-by-side.ts'

export function exampleLines(
  { difference, examples, from, noise }: DifferenceResponse,
  now: number,
  on: Screen,
): string {
  const [newest] = examples
  return [
    ...factLines(difference, from, now, on),
    '',
    ...(newest === undefined ? ['no example of it is kept'] : shownLines(newest, difference, new Set(noise), on)),
    ...(examples.length > 1 ? ['', paint({ text: `${examples.length - 1} more with --json`, tone: 'faint' }, on)] : []),
  ].join('\n')
}

function factLines(row: DifferenceSummary, from: number, now: number, on: Screen): string[] {
  const { sides, self, verdict, state, firstSeen, lastSeen } = row
  const facts: [string, Cell][] = [
    ['field', { text: `${row.kind} ${row.path}`, tone: 'strong' }],
    ['route', `${row.route} of ${row.context}, difference ${row.fingerprint}`],
    ['verdict', [state === 'resolved' ? 'resolved' : verdict, ...saidOf(row, now)].join('; ')],
    [
      'differs',
      `${shareText(sides.share)}: ${grouped(sides.count)} of ${grouped(sides.of)} comparisons since ${showTime(from, now)}`,
    ],
    ['noise', `${shareText(self.share)}: ${grouped(self.count)} of ${grouped(self.of)} pairs of legacy with itself`],
    [
      'seen',
      firstSeen === null || lastSeen === null
        ? 'not within this time'
        : `first ${showTime(firstSeen, now)}, last ${showTime(lastSeen, now)}`,
    ],
  ]
  return facts.map(([name, cell]) => `${name.padEnd(9)}${paint(cell, on)}`)
}

function shownLines(
  { at, request, answeredBy, legacy, service, differences }: MaskedExample,
  row: DifferenceSummary,
  noise: ReadonlySet<string>,
  on: Screen,
): string[] {
  const isNoise = ({ kind, path }: Differing) => noise.has(`${kind} ${path}`)
  const marks: Marks = {
    faults: differences.filter((one) => !isNoise(one)),
    noise: differences.filter(isNoise),
  }
  const fields = differences.map((one): Cell[] => {
    const isThis = one.kind === row.kind && one.path === row.path
    const remarks = [one.times > 1 ? `${one.times} places` : '', isNoise(one) ? 'noise' : ''].filter(Boolean)
    const name = `${one.kind} ${one.path}${remarks.length === 0 ? '' : ` (${remarks.join(', ')})`}`
    return [isThis ? { text: name, tone: 'bad' } : name, valueText(one.legacy), valueText(one.service)]
  })
  const answers: Cell[][] = [
    ['status', String(legacy.status), String(service.status)],
    ['time', showDuration(legacy.ms), showDuration(service.ms)],
  ]
  return [
    paint(`${showMoment(at)}  ${request.method} ${request.target}, answered by ${answeredBy}`, on),
    // A field is never cut: half of its path may be another's.
    table(['', 'legacy', 'service'], [...answers, ...fields], on, ['']),
    ...textLines('headers', headerLines(legacy.headers), headerLines(service.headers), marks, on),
    ...bodyTextLines(legacy.body, service.body, marks, on),
  ]
}

type Differing = Pick<MaskedExample['differences'][number], 'kind' | 'path'>
/** What the comparison found: what is no noise, and what is. */
type Marks = { readonly faults: readonly Differing[]; readonly noise: readonly Differing[] }

function bodyTextLines(legacy: string | null, service: string | null, marks: Marks, on: Screen): string[] {
  if (legacy === null || service === null) {
    return ['', paint({ text: 'bodies are kept where both are JSON of up to 16 KiB', tone: 'faint' }, on)]
  }
  return textLines('body', bodyLines(legacy), bodyLines(service), marks, on)
}

const AROUND = 2
const WITHOUT_SCREEN = 160

const MARKS = { fault: '≠', noise: '~', other: ' ' } as const
type Mark = keyof typeof MARKS
const LEGEND = {
  noise: '~ noise: legacy differs from itself there too',
  other: 'not marked: what is not compared, or may differ by a rule',
} as const

/** Rows that differ are marked: not everybody sees colours. */
function textLines(name: string, left: readonly Line[], right: readonly Line[], marks: Marks, on: Screen): string[] {
  const all = sideBySide(
    left.map(({ text }) => text),
    right.map(({ text }) => text),
  )
  if (!all.some(differs)) return ['', paint({ text: `${name}: the same`, tone: 'faint' }, on)]
  const markOf = marked(all, left, right, marks)
  const rows = aroundDifferences(all, AROUND)
  const width = Math.max(10, Math.floor(((on.width ?? WITHOUT_SCREEN) - 5) / 2))
  const lines = rows.map((row) => {
    if (row === undefined) return paint({ text: '  …', tone: 'faint' }, on)
    const mark = markOf.get(row) ?? 'other'
    const text = `${MARKS[mark]} ${shortened(row.left ?? '', width).padEnd(width)} │ ${shortened(row.right ?? '', width)}`
    return paint(mark === 'fault' ? { text, tone: 'bad' } : text, on).trimEnd()
  })
  const seen = new Set(markOf.values())
  const legend = (['noise', 'other'] as const).filter((mark) => seen.has(mark))
  return [
    '',
    `${name.padEnd(width + 2)} │`.replace(/ +│$/, ''),
    ...lines,
    ...legend.map((mark) => paint({ text: LEGEND[mark], tone: 'faint' }, on)),
  ]
}

/** Of each row that is not the same on both sides, what the comparison said of it. */
function marked(rows: readonly Row[], left: readonly Line[], right: readonly Line[], marks: Marks): Map<Row, Mark> {
  const found = new Map<Row, Mark>()
  let [i, j] = [0, 0]
  for (const row of rows) {
    const lines = [...(row.left === undefined ? [] : [left[i++]!]), ...(row.right === undefined ? [] : [right[j++]!])]
    const isOf = (of: readonly Differing[]) => lines.some(({ place }) => of.some(({ path }) => isPartOf(path, place)))
    if (differs(row)) found.set(row, isOf(marks.faults) ? 'fault' : isOf(marks.noise) ? 'noise' : 'other')
  }
  return found
}
