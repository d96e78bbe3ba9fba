// Parity for a person: how alike the sides answer, how sure that is, and what became of the rest.
import type { ParityView } from '../admin/contract.ts'
import { showTime } from './durations.ts'
import { type Cell, paint, type Screen, table } from './print.ts'
import { grouped, percent, shareText } from './shares.ts'

type Tally = ParityView['contexts'][number]['routes'][number]

/** @param context its routes alone; undefined is all contexts */
export function parityLines(view: ParityView, context: string | undefined, now: number, on: Screen): string {
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
  const reasons = reasonsOf(context === undefined ? contexts : contexts.filter((one) => one.context === context))
  return [
    paint(`${context === undefined ? 'how alike the sides answer' : `${context}, by route`}, ${since}`, on),
    '',
    table(
      [what, 'matching', 'at least', 'comparisons', 'pairs', `until ${percent(target)} %`],
      rows.map((row) => parityRow(row, target)),
      on,
      NUMBERS,
    ),
    '',
    'how eligible requests ended',
    '',
    table([what, ...ENDINGS], rows.map(endingsRow), on, ENDINGS),
    ...(reasons === '' ? [] : ['', paint({ text: reasons, tone: 'faint' }, on)]),
  ].join('\n')
}

type Named = { readonly name: string; readonly tally: Omit<Tally, 'route'> }

function named(name: string, tally: Omit<Tally, 'route'>): Named {
  return { name, tally }
}

function routesOf({ contexts }: ParityView, context: string): Named[] {
  const routes = contexts.find((one) => one.context === context)?.routes ?? []
  return routes.map((one) => named(one.route, one))
}

const NUMBERS = ['matching', 'at least', 'comparisons', 'pairs']
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
