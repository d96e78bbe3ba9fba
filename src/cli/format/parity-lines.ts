// Parity for a person: how alike the sides answer, how sure that is, and what became of the rest.
import type { ParityResponse } from '../../admin/contract/comparisons.ts'
import { showSince, showTime } from './durations.ts'
import { grouped, percent, shareText } from './numbers.ts'
import { type Cell, isTooWide, paint, type Screen, table, tableUnderNames } from './print.ts'

type Tally = ParityResponse['contexts'][number]['routes'][number]

/** @param context its routes alone; undefined is all contexts */
export function parityLines(view: ParityResponse, context: string | undefined, now: number, on: Screen): string {
  const { from, target, contexts } = view
  const rows = context === undefined ? contexts.map((one) => named(one.context, one)) : routesOf(view, context)
  const what = context === undefined ? 'context' : 'route'
  const since = `since ${showTime(from, now)}`
  if (rows.length === 0) {
    return paint(
      context === undefined ? 'no contexts: everything is legacy' : `${context}: no request was eligible ${since}`,
      on,
    )
  }
  const shown = context === undefined ? contexts : contexts.filter((one) => one.context === context)
  const reasons = reasonsOf(shown)
  const withData = showSince(from, earliest(shown.map(({ dataSince }) => dataSince)), now)
  return [
    paint(`${context === undefined ? 'how alike the sides answer' : `${context}, by route`}, ${withData}`, on),
    '',
    parityTable(what, target, rows, on),
    '',
    'how eligible requests ended',
    '',
    endingsTable(what, rows, on),
    ...(reasons === '' ? [] : ['', paint({ text: reasons, tone: 'faint' }, on)]),
  ].join('\n')
}

/** Undefined if a gateway does not send it; null if no context has data. */
function earliest(times: readonly (number | null | undefined)[]): number | null | undefined {
  if (times.includes(undefined)) return undefined
  const known = times.filter((time) => typeof time === 'number')
  return known.length === 0 ? null : Math.min(...known)
}

type Named = { readonly name: string; readonly tally: Omit<Tally, 'route'> }

function named(name: string, tally: Omit<Tally, 'route'>): Named {
  return { name, tally }
}

function routesOf({ contexts }: ParityResponse, context: string): Named[] {
  const routes = contexts.find((one) => one.context === context)?.routes ?? []
  return routes.map((one) => named(one.route, one))
}

function parityTable(what: string, target: number, rows: readonly Named[], on: Screen): string {
  const heads = ['matching', 'at least', 'comparisons', 'pairs', `until ${percent(target)} %`]
  const cells = rows.map((row) => parityRow(row, target))
  if (!isTooWide([what, ...heads], cells, on)) return table([what, ...heads], cells, on)
  const named = cells.map(([name = '', ...rest]) => ({ names: [name], cells: rest }))
  return tableUnderNames(heads, named, on)
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

function parityRow({ name, tally }: Named, target: number): Cell[] {
  const { matching, atLeast, conclusive, pairs, untilTarget } = tally
  const { inconclusive } = tally.accounting
  return [
    { text: name, tone: 'strong' },
    shareText(matching),
    conclusive + inconclusive === 0
      ? '-'
      : { text: `${percent(atLeast)} %`, tone: atLeast >= target ? 'good' : 'warning' },
    grouped(conclusive + inconclusive),
    grouped(pairs),
    untilTarget === 0 ? { text: 'reached', tone: 'good' } : `${grouped(untilTarget)} more`,
  ]
}

function endingsTable(what: string, rows: readonly Named[], on: Screen): string {
  const heads = [what, ...ENDINGS]
  const cells = rows.map(endingsRow)
  if (!isTooWide(heads, cells, on)) return table(heads, cells, on)
  return rows.flatMap((row) => [paint({ text: row.name, tone: 'strong' }, on), ...endingsLines(row, on)]).join('\n')
}

/** Those that there are, on as many lines as it takes. */
function endingsLines({ tally: { accounting } }: Named, { width = Number.POSITIVE_INFINITY }: Screen): string[] {
  const words = ENDINGS.flatMap((ending) =>
    accounting[ending] === 0 ? [] : [`${ending} ${grouped(accounting[ending])}`],
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

function endingsRow({ name, tally: { accounting } }: Named): Cell[] {
  return [
    name,
    ...ENDINGS.map((ending): Cell => {
      const text = grouped(accounting[ending])
      return ending === 'mismatched' && accounting.mismatched > 0 ? { text, tone: 'bad' } : text
    }),
  ]
}

/** `shed: lag 3; failed: unavailable 5`. */
function reasonsOf(all: readonly Pick<Tally, 'reasons'>[]): string {
  const endings = ['uncomparable', 'shed', 'failed'] as const
  return endings
    .flatMap((ending) => {
      const sums = new Map<string, number>()
      for (const { reasons } of all) {
        for (const [reason, times] of Object.entries(reasons[ending])) sums.set(reason, (sums.get(reason) ?? 0) + times)
      }
      return sums.size === 0
        ? []
        : [`${ending}: ${[...sums].map(([reason, times]) => `${reason} ${grouped(times)}`).join(', ')}`]
    })
    .join('; ')
}
