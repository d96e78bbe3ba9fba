// Rows of the table of differences: one for each field of a route in which the sides have differed. Pure.

import { type Field, splitField } from '../../model/comparison.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { DifferenceRow } from '../../model/comparison-views.ts'
import type { DifferenceNote } from '../../model/shared-state.ts'
import { fingerprintOf } from './fingerprint.ts'
import type { JudgedRoute, TimeRange } from './judge-route.ts'
import { comparisonsIn } from './noise.ts'
import { shareOrNull } from './parity-stats.ts'
import type { DifferenceNotes } from './rulings.ts'

/** @param examples the newest first */
export function rowsOf(
  route: JudgedRoute,
  notes: DifferenceNotes,
  examples: readonly StoredExample[],
): DifferenceRow[] {
  const newest = new Map(examples.toReversed().map((example) => [example.fingerprint, example]))
  return [...route.sightings.keys()].map((field) => rowOf(route, field, notes, newest))
}

/** @param newest the newest example of each difference, by fingerprint */
export function rowOf(
  { context, route, counts, verdicts, sightings }: JudgedRoute,
  field: Field,
  notes: DifferenceNotes,
  newest: ReadonlyMap<string, StoredExample>,
): DifferenceRow {
  const fingerprint = fingerprintOf(context, route, field)
  const { kind, path } = splitField(field)
  const { sides, self } = counts.fields[field] ?? { sides: 0, self: 0 }
  const comparisons = comparisonsIn(counts)
  const note = Object.hasOwn(notes, fingerprint) ? notes[fingerprint] : undefined
  const sighting = sightings.get(field)
  return {
    fingerprint,
    context,
    route,
    kind,
    path,
    sides: { count: sides, of: comparisons, share: shareOrNull(sides, comparisons) },
    self: { count: self, of: counts.pairs, share: shareOrNull(self, counts.pairs) },
    verdict: verdicts.get(field) ?? note?.ruling ?? 'inconclusive',
    note: note === undefined ? null : shownNote(note),
    state: stateOf(note, sighting),
    firstSeen: sighting?.first ?? null,
    lastSeen: sighting?.last ?? null,
    example: shownValues(newest.get(fingerprint), field),
  }
}

/** A resolved difference that is seen again is reopened; no operator has to reopen it. */
function stateOf(note: DifferenceNote | undefined, sighting: TimeRange | undefined): DifferenceRow['state'] {
  if (note === undefined || note.resolvedAt === null) return 'open'
  return sighting === undefined || sighting.last <= note.resolvedAt ? 'resolved' : 'reopened'
}

function shownNote(note: DifferenceNote): DifferenceRow['note'] {
  return { by: note.by, reason: note.reason, at: note.at, ruling: note.ruling, resolvedAt: note.resolvedAt }
}

function shownValues(stored: StoredExample | undefined, field: Field): DifferenceRow['example'] {
  if (stored === undefined) return null
  const difference = stored.example.differences.find(({ kind, path }) => `${kind} ${path}` === field)
  return { at: stored.example.at, legacy: difference?.legacy ?? null, service: difference?.service ?? null }
}

/** Real differences first, then inconclusive ones, then noise, each by their share; resolved ones last. */
export function sortRows(rows: readonly DifferenceRow[]): DifferenceRow[] {
  return rows.toSorted(
    (a, b) =>
      rankOf(a) - rankOf(b) ||
      (b.sides.share?.share ?? 0) - (a.sides.share?.share ?? 0) ||
      compareTexts(`${a.route} ${a.path} ${a.kind}`, `${b.route} ${b.path} ${b.kind}`),
  )
}

function rankOf({ state, verdict }: DifferenceRow): number {
  return state === 'resolved' ? VERDICTS.length : VERDICTS.indexOf(verdict)
}

const VERDICTS = ['real', 'inconclusive', 'noise'] as const

function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
