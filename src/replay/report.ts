// The report of a replay as a value. The JSON report is this value; the Markdown report is generated from it.

import { type Field, type FieldVerdict, splitField } from '../model/comparison.ts'
import type { Accounting, Parity } from '../model/comparison-counts.ts'
import { maskSecrets } from '../shadow/capture/redact.ts'
import { DEFAULT_PARITY_TARGET, parityOf, sumAccountings } from '../shadow/stats/parity.ts'
import { type GateResult, judgeGate } from './parity-gate.ts'
import { type Progress, type ReplayExample, type RouteTotals, totalsOf, type UnreadableEntry } from './progress.ts'
import type { RecordingFormat, SkipReason } from './recording.ts'

export type ReplayReport = {
  /** The version of this format: raised if a member is removed or changes its meaning. */
  readonly version: 1
  readonly recording: {
    readonly file: string
    readonly format: RecordingFormat
    readonly bytes: number
    readonly sha256: string
  }
  /** The addresses that received requests. */
  readonly legacy: readonly string[]
  readonly services: Readonly<Record<string, readonly string[]>>
  readonly startedAt: string
  readonly finishedAt: string
  readonly withCredentials: boolean
  readonly requests: {
    readonly replayed: number
    readonly skipped: Readonly<Partial<Record<SkipReason, number>>>
    readonly unreadable: { readonly count: number; readonly first: readonly UnreadableEntry[] }
    /** Requests that were under way when a run was killed. They are in no other number. */
    readonly interrupted: number
  }
  readonly accounting: Accounting
  readonly parity: Parity
  /** Null without a target. */
  readonly gate: GateResult | null
  /** Reasons why the numbers are weaker evidence than they seem. */
  readonly notes: readonly string[]
  readonly contexts: readonly ContextReport[]
}

export type ContextReport = {
  readonly context: string
  readonly owner: string
  readonly accounting: Accounting
  readonly parity: Parity
  readonly routes: readonly RouteReport[]
}

export type RouteReport = {
  readonly route: string
  readonly accounting: Accounting
  readonly parity: Parity
  readonly pairs: number
  /** How often legacy answered with each status. */
  readonly statuses: Readonly<Record<string, number>>
  readonly failed: Readonly<Record<string, number>>
  readonly uncomparable: Readonly<Record<string, number>>
  /** Real ones first, then inconclusive ones, then noise; each by frequency. */
  readonly differences: readonly DifferenceReport[]
}

export type DifferenceReport = {
  readonly kind: string
  readonly path: string
  readonly verdict: FieldVerdict
  /** Comparisons in which the sides differ here, and pairs in which legacy differs from itself. */
  readonly sides: number
  readonly self: number
  /** At most one. */
  readonly examples: readonly Omit<ReplayExample, 'field'>[]
}

type ReportInput = Pick<ReplayReport, 'recording' | 'legacy' | 'services' | 'withCredentials'> & {
  readonly owners: ReadonlyMap<string, string>
  /** Milliseconds since 1970. */
  readonly finishedAt: number
  /** The target of the gate, from 0 to below 1; undefined for no gate. */
  readonly failUnder: number | undefined
}

export function makeReport(progress: Progress, input: ReportInput): ReplayReport {
  const target = input.failUnder ?? DEFAULT_PARITY_TARGET
  const { accounting, byRoute } = totalsOf(progress.routes)
  const { owners, failUnder, finishedAt, ...same } = input
  return {
    version: 1,
    ...same,
    startedAt: new Date(progress.startedAt).toISOString(),
    finishedAt: new Date(finishedAt).toISOString(),
    requests: {
      replayed: accounting.eligible,
      skipped: progress.skipped,
      unreadable: progress.unreadable,
      interrupted: progress.interrupted,
    },
    accounting,
    parity: parityOf(accounting, target),
    gate: failUnder === undefined ? null : judgeGate(accounting, unansweredIn(byRoute), failUnder),
    notes: notesOn(progress),
    contexts: contextsOf(byRoute, owners, target),
  }
}

/** Two matching refusals or redirects are no evidence that the sides agree. */
function notesOn({ routes, interrupted }: Progress): string[] {
  const notes: string[] = []
  const statuses = routes.flatMap((route) => Object.entries(route.statuses))
  const countWhere = (is: (status: number) => boolean) =>
    statuses.reduce((sum, [status, times]) => sum + (is(Number(status)) ? times : 0), 0)
  const total = countWhere(() => true)
  const [turnedAway, redirected] = [countWhere((status) => status === 401 || status === 403), countWhere(isRedirect)]
  if (turnedAway * 10 > total) {
    notes.push(
      `Legacy refused ${turnedAway} of ${total} requests (401, 403): a match of two refusals is weak evidence. --keep-credentials sends the credentials of a HAR.`,
    )
  }
  if (redirected * 2 > total) {
    notes.push(
      `Legacy redirected ${redirected} of ${total} requests: if it requires TLS or another host, set --https or --host for a log.`,
    )
  }
  if (interrupted > 0) {
    notes.push(
      `${interrupted} requests were under way when a run was killed. They are not sent again and are in no other number.`,
    )
  }
  return notes
}

function isRedirect(status: number): boolean {
  return status >= 300 && status < 400 && status !== 304
}

function unansweredIn(routes: readonly RouteTotals[]): number {
  return routes.reduce((sum, { counts, accounting }) => sum + accounting.failed - (counts.failed.primary ?? 0), 0)
}

function contextsOf(
  routes: readonly RouteTotals[],
  owners: ReadonlyMap<string, string>,
  target: number,
): ContextReport[] {
  return [...Map.groupBy(routes, ({ context }) => context)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([context, of]) => {
      const accounting = sumAccountings(of.map((route) => route.accounting))
      const owner = owners.get(context) ?? ''
      return { context, owner, accounting, parity: parityOf(accounting, target), routes: routesOf(of, target) }
    })
}

function routesOf(routes: readonly RouteTotals[], target: number): RouteReport[] {
  return [...routes]
    .sort((a, b) => (a.route < b.route ? -1 : 1))
    .map((route) => ({
      route: route.route,
      accounting: route.accounting,
      parity: parityOf(route.accounting, target),
      pairs: route.counts.pairs,
      statuses: route.statuses,
      failed: { ...route.counts.failed },
      uncomparable: { ...route.counts.uncomparable },
      differences: differencesOf(route),
    }))
}

const ORDER: Readonly<Record<FieldVerdict, number>> = { real: 0, inconclusive: 1, noise: 2 }

function differencesOf({ counts, verdicts, examples }: RouteTotals): DifferenceReport[] {
  return [...verdicts]
    .map(([field, verdict]) => {
      const { sides, self } = counts.fields[field]!
      const { kind, path } = splitField(field)
      // A path contains names of a response, which can be secrets.
      return { kind, path: maskSecrets(path), verdict, sides, self, examples: examplesOfField(field, examples) }
    })
    .sort((a, b) => ORDER[a.verdict] - ORDER[b.verdict] || b.sides - a.sides)
}

function examplesOfField(field: Field, examples: readonly ReplayExample[]): DifferenceReport['examples'] {
  return examples.filter((example) => example.field === field).map(({ field: _, ...example }) => example)
}
