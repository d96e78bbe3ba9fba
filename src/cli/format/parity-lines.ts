// Parity for a person: the share of matching comparisons with its certainty, and how all eligible requests ended.
import type { ParityResponse } from '../../admin/contract/comparisons.ts'
import { showSince, showTime } from './durations.ts'
import { formatNumber, formatPercent, formatShare } from './numbers.ts'
import { type Cell, formatNamedRows, formatTable, isTooWide, paint, type Screen } from './print.ts'

type Tally = ParityResponse['contexts'][number]['routes'][number]

/** @param context shows the routes of this context; undefined shows all contexts */
export function parityLines(view: ParityResponse, context: string | undefined, now: number, screen: Screen): string {
  const { from, target, contexts } = view
  const rows =
    context === undefined ? contexts.map((entry) => nameTally(entry.context, entry)) : routesOf(view, context)
  const what = context === undefined ? 'context' : 'route'
  const since = `since ${showTime(from, now)}`
  if (rows.length === 0) {
    return paint(
      context === undefined ? 'no contexts: everything is legacy' : `${context}: no request was eligible ${since}`,
      screen,
    )
  }
  const shown = context === undefined ? contexts : contexts.filter((entry) => entry.context === context)
  const reasons = reasonsOf(shown)
  const withData = showSince(from, earliest(shown.map(({ dataSince }) => dataSince)), now)
  return [
    paint(`${context === undefined ? 'parity of the sides' : `${context}, by route`}, ${withData}`, screen),
    '',
    parityTable(what, target, rows, screen),
    '',
    'how eligible requests ended',
    '',
    endingsTable(what, rows, screen),
    ...(reasons === '' ? [] : ['', paint({ text: reasons, tone: 'faint' }, screen)]),
  ].join('\n')
}

/** @returns undefined if a gateway does not send it; null if no context has data */
function earliest(times: readonly (number | null | undefined)[]): number | null | undefined {
  if (times.includes(undefined)) return undefined
  const numbers = times.filter((time) => typeof time === 'number')
  return numbers.length === 0 ? null : Math.min(...numbers)
}

type NamedTally = { readonly name: string; readonly tally: Omit<Tally, 'route'> }

function nameTally(name: string, tally: Omit<Tally, 'route'>): NamedTally {
  return { name, tally }
}

function routesOf({ contexts }: ParityResponse, context: string): NamedTally[] {
  const routes = contexts.find((entry) => entry.context === context)?.routes ?? []
  return routes.map((entry) => nameTally(entry.route, entry))
}

function parityTable(what: string, target: number, rows: readonly NamedTally[], screen: Screen): string {
  const heads = ['matching', 'at least', 'comparisons', 'pairs', `until ${formatPercent(target)} %`]
  const cells = rows.map((row) => parityRow(row, target))
  if (!isTooWide([what, ...heads], cells, screen)) return formatTable([what, ...heads], cells, screen)
  const named = cells.map(([name = '', ...rest]) => ({ names: [name], cells: rest }))
  return formatNamedRows(heads, named, screen)
}

const ENDINGS = [
  'eligible',
  'matched',
  'mismatched',
  'noise',
  'inconclusive',
  'ignored',
  'uncomparable',
  'shed',
  'failed',
] as const

function parityRow({ name, tally }: NamedTally, target: number): Cell[] {
  const { matching, atLeast, conclusive, pairs, untilTarget } = tally
  const { inconclusive } = tally.accounting
  return [
    { text: name, tone: 'strong' },
    formatShare(matching),
    conclusive + inconclusive === 0
      ? '-'
      : { text: `${formatPercent(atLeast)} %`, tone: atLeast >= target ? 'good' : 'warning' },
    formatNumber(conclusive + inconclusive),
    formatNumber(pairs),
    untilTarget === 0 ? { text: 'reached', tone: 'good' } : `${formatNumber(untilTarget)} more`,
  ]
}

function endingsTable(what: string, rows: readonly NamedTally[], screen: Screen): string {
  const heads = [what, ...ENDINGS]
  const cells = rows.map(endingsRow)
  if (!isTooWide(heads, cells, screen)) return formatTable(heads, cells, screen)
  return rows
    .flatMap((row) => [paint({ text: row.name, tone: 'strong' }, screen), ...endingsLines(row, screen)])
    .join('\n')
}

/** The endings with a count above 0, on as many lines as they need. */
function endingsLines({ tally: { accounting } }: NamedTally, { width = Number.POSITIVE_INFINITY }: Screen): string[] {
  const words = ENDINGS.flatMap((ending) =>
    accounting[ending] === 0 ? [] : [`${ending} ${formatNumber(accounting[ending])}`],
  )
  const lines: string[] = []
  for (const word of words.length === 0 ? ['eligible 0'] : words) {
    const last = lines.at(-1)
    const longer = `${last}, ${word}`
    if (last !== undefined && longer.length < width) lines[lines.length - 1] = longer
    else lines.push(`  ${word}`)
  }
  return lines
}

function endingsRow({ name, tally: { accounting } }: NamedTally): Cell[] {
  return [
    name,
    ...ENDINGS.map((ending): Cell => {
      const text = formatNumber(accounting[ending])
      return ending === 'mismatched' && accounting.mismatched > 0 ? { text, tone: 'bad' } : text
    }),
  ]
}

/** `shed: lag 3; failed: unavailable 5`. */
function reasonsOf(tallies: readonly Pick<Tally, 'reasons'>[]): string {
  const endings = ['uncomparable', 'shed', 'failed'] as const
  return endings
    .flatMap((ending) => {
      const sums = new Map<string, number>()
      for (const { reasons } of tallies) {
        for (const [reason, times] of Object.entries(reasons[ending])) sums.set(reason, (sums.get(reason) ?? 0) + times)
      }
      return sums.size === 0
        ? []
        : [`${ending}: ${[...sums].map(([reason, times]) => `${reason} ${formatNumber(times)}`).join(', ')}`]
    })
    .join('; ')
}
