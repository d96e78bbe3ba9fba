// Rows of the table of differences: one for each field of a route in which the sides were seen to differ. Pure.
import type { Field } from '../../model/comparison.ts'
import { splitField } from '../../model/comparison.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { DifferenceRow } from '../../model/comparison-views.ts'
import type { DifferenceNote } from '../../model/shared-state.ts'
import { fingerprintOf } from './fingerprint.ts'
import { comparisonsIn } from './noise.ts'
import { type JudgedRoute, type Notes, type Seen, shareIfAny } from './judge-route.ts'

/** @param examples the newest first */
export function rowsOf(route: JudgedRoute, notes: Notes, examples: readonly StoredExample[]): DifferenceRow[] {
  const newest = new Map(examples.toReversed().map((example) => [example.fingerprint, example]))
  return [...route.seen.keys()].map((field) => rowOf(route, field, notes, newest))
}

export function rowOf(
  { context, route, counts, verdicts, seen }: JudgedRoute,
  field: Field,
  notes: Notes,
  newest: ReadonlyMap<string, StoredExample>,
): DifferenceRow {
  const fingerprint = fingerprintOf(context, route, field)
  const { kind, path } = splitField(field)
  const { sides, self } = counts.fields[field] ?? { sides: 0, self: 0 }
  const comparisons = comparisonsIn(counts)
  const note = Object.hasOwn(notes, fingerprint) ? notes[fingerprint] : undefined
  const when = seen.get(field)
  return {
    fingerprint,
    context,
    route,
    kind,
    path,
    sides: { count: sides, of: comparisons, share: shareIfAny(sides, comparisons) },
    self: { count: self, of: counts.pairs, share: shareIfAny(self, counts.pairs) },
    verdict: verdicts.get(field) ?? note?.ruling ?? 'inconclusive',
    note: note === undefined ? null : whatIsSaid(note),
    state: stateOf(note, when),
    firstSeen: when?.first ?? null,
    lastSeen: when?.last ?? null,
    example: valuesOf(newest.get(fingerprint), field),
  }
}

/** Nobody has to say that it is open again: it is once it is seen. */
function stateOf(note: DifferenceNote | undefined, seen: Seen | undefined): DifferenceRow['state'] {
  if (note === undefined || note.resolvedAt === null) return 'open'
  return seen === undefined || seen.last <= note.resolvedAt ? 'resolved' : 'reopened'
}

function whatIsSaid({ by, reason, at, ruling, resolvedAt }: DifferenceNote): DifferenceRow['note'] {
  return { by, reason, at, ruling, resolvedAt }
}

function valuesOf(kept: StoredExample | undefined, field: Field): DifferenceRow['example'] {
  if (kept === undefined) return null
  const here = kept.example.differences.find(({ kind, path }) => `${kind} ${path}` === field)
  return { at: kept.example.at, legacy: here?.legacy ?? null, service: here?.service ?? null }
}

/** The real ones first, then what is inconclusive, then noise, by how often; what is resolved is last. */
export function inOrder(rows: readonly DifferenceRow[]): DifferenceRow[] {
  return rows.toSorted(
    (one, other) =>
      rankOf(one) - rankOf(other) ||
      (other.sides.share?.share ?? 0) - (one.sides.share?.share ?? 0) ||
      compareTexts(`${one.route} ${one.path} ${one.kind}`, `${other.route} ${other.path} ${other.kind}`),
  )
}

function rankOf({ state, verdict }: DifferenceRow): number {
  return state === 'resolved' ? VERDICTS.length : VERDICTS.indexOf(verdict)
}

const VERDICTS = ['real', 'inconclusive', 'noise'] as const

function compareTexts(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0
}
