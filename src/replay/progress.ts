// The progress of a replay, as a value that is saved as JSON, so that a later run can continue.

import type { Field, Masked } from '../model/comparison.ts'
import type { Accounting, Counts } from '../model/comparison-counts.ts'
import { judgeCounts } from '../shadow/stats/judge-route.ts'
import type { FieldVerdicts } from '../shadow/stats/noise.ts'
import { accountingOf, sumAccountings } from '../shadow/stats/parity.ts'
import type { SkipReason } from './recording.ts'

/** Stored in the state file: see `state-file.ts`. */
export type Progress = {
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** The number of the last entry that was read. Each entry up to it is counted or is in `underWay`. */
  readonly through: number
  /** Numbers of entries that may have been sent and have no outcome yet. */
  readonly underWay: readonly number[]
  /** Entries that were under way when a run was killed. They are not sent again. */
  readonly interrupted: number
  readonly skipped: Readonly<Partial<Record<SkipReason, number>>>
  readonly unreadable: { readonly count: number; readonly first: readonly UnreadableEntry[] }
  readonly routes: readonly RouteProgress[]
}

/** `at`: its line, or its position in a HAR; from 1. */
export type UnreadableEntry = { readonly at: number; readonly why: string }

export type RouteProgress = {
  readonly context: string
  readonly route: string
  readonly counts: Counts
  /** How often legacy answered with each status: a thousand matching 401s are no evidence. */
  readonly statuses: Readonly<Record<string, number>>
  readonly examples: readonly ReplayExample[]
}

/** One request whose responses differ in a field. Secrets are masked. */
export type ReplayExample = {
  readonly field: Field
  /** The number of the entry. */
  readonly at: number
  readonly method: string
  readonly target: Masked
  readonly legacy: Masked | null
  readonly service: Masked | null
}

export const NO_PROGRESS: Omit<Progress, 'startedAt'> = {
  ...{ through: 0, underWay: [], interrupted: 0, skipped: {}, routes: [] },
  unreadable: { count: 0, first: [] },
}

/** The sum of all routes, each of which is judged by itself. */
export type ReplayTotals = { readonly accounting: Accounting; readonly byRoute: readonly RouteTotals[] }

export type RouteTotals = RouteProgress & { readonly verdicts: FieldVerdicts; readonly accounting: Accounting }

export function totalsOf(routes: readonly RouteProgress[]): ReplayTotals {
  const byRoute = routes.map((route) => {
    const { verdicts } = judgeCounts([route.counts])
    return { ...route, verdicts, accounting: accountingOf(route.counts, verdicts) }
  })
  return { accounting: sumAccountings(byRoute.map(({ accounting }) => accounting)), byRoute }
}
