// One difference for a person: what it is, and an example of it side by side.
import type { DifferenceRow, DifferenceView, ShownExample } from '../admin/contract.ts'
import { saidOf, valueText } from './difference-lines.ts'
import { showDuration, showMoment, showTime } from './durations.ts'
import { type Cell, paint, type Screen, shortened, table } from './print.ts'
import { grouped, shareText } from './shares.ts'
import { aroundDifferences, differs, sideBySide } from './side-by-side.ts'

export function exampleLines({ difference, examples, from }: DifferenceView, now: number, on: Screen): string {
  const [newest] = examples
  return [
    ...factLines(difference, from, now, on),
    '',
    ...(newest === undefined ? ['no example of it is kept'] : shownLines(newest, difference, on)),
    ...(examples.length > 1 ? ['', paint({ text: `${examples.length - 1} more with --json`, tone: 'faint' }, on)] : []),
  ].join('\n')
}

function factLines(row: DifferenceRow, from: number, now: number, on: Screen): string[] {
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
  { at, request, answeredBy, legacy, service, differences }: ShownExample,
  row: DifferenceRow,
  on: Screen,
): string[] {
  const fields = differences.map((one): Cell[] => {
    const isThis = one.kind === row.kind && one.path === row.path
    const name = `${one.kind} ${one.path}${one.times > 1 ? ` (${one.times} places)` : ''}`
    return [isThis ? { text: name, tone: 'bad' } : name, valueText(one.legacy), valueText(one.service)]
  })
  const answers: Cell[][] = [
    ['status', String(legacy.status), String(service.status)],
    ['time', showDuration(legacy.ms), showDuration(service.ms)],
  ]
  return [
    paint(`${showMoment(at)}  ${request.method} ${request.target}, answered by ${answeredBy}`, on),
    table(['', 'legacy', 'service'], [...answers, ...fields], on),
    ...textLines('headers', headerLines(legacy.headers), headerLines(service.headers), on),
    ...bodyLines(legacy.body, service.body, on),
  ]
}

function headerLines(headers: readonly string[]): string[] {
  const lines = headers.flatMap((name, i) => (i % 2 === 0 ? [`${name.toLowerCase()}: ${headers[i + 1] ?? ''}`] : []))
  return lines.toSorted()
}

function bodyLines(legacy: string | null, service: string | null, on: Screen): string[] {
  if (legacy === null || service === null) {
    return ['', paint({ text: 'bodies are kept where both are JSON of up to 16 KiB', tone: 'faint' }, on)]
  }
  return textLines('body', prettyLines(legacy), prettyLines(service), on)
}

function prettyLines(body: string): string[] {
  try {
    return JSON.stringify(JSON.parse(body), undefined, 2).split('\n')
  } catch {
    return [body]
  }
}

const AROUND = 2
const WITHOUT_SCREEN = 160

/** Rows that differ are marked: not everybody sees colours. */
function textLines(name: string, left: readonly string[], right: readonly string[], on: Screen): string[] {
  const rows = aroundDifferences(sideBySide(left, right), AROUND)
  if (!rows.some((row) => row !== undefined && differs(row)))
    return ['', paint({ text: `${name}: the same`, tone: 'faint' }, on)]
  const width = Math.max(10, Math.floor(((on.width ?? WITHOUT_SCREEN) - 5) / 2))
  const lines = rows.map((row) => {
    if (row === undefined) return paint({ text: '  …', tone: 'faint' }, on)
    const isOther = differs(row)
    const text = `${isOther ? '≠' : ' '} ${shortened(row.left ?? '', width).padEnd(width)} │ ${shortened(row.right ?? '', width)}`
    return paint(isOther ? { text, tone: 'bad' } : text, on).trimEnd()
  })
  return ['', `${name.padEnd(width + 2)} │`.replace(/ +│$/, ''), ...lines]
}
