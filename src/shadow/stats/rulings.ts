// Notes and rulings of operators on differences, read from the shared state. Pure.
import type { Rulings } from '../../model/comparison.ts'
import type { DifferenceNote, SharedState } from '../../model/shared-state.ts'
import { routeKey } from './route-key.ts'

/** The notes of one context, by fingerprint. */
export type DifferenceNotes = Readonly<Record<string, DifferenceNote>>

export function notesOf({ contexts }: SharedState, context: string): DifferenceNotes {
  const state = Object.hasOwn(contexts, context) ? contexts[context] : undefined
  return state?.differences ?? {}
}

export function rulingsOf(notes: DifferenceNotes, route: string): Rulings {
  const withRuling = Object.values(notes).filter((note) => note.route === route && note.ruling !== null)
  return Object.fromEntries(withRuling.map(({ field, ruling }) => [field, ruling])) as Rulings
}

/** The rulings of all contexts, by `routeKey`. */
export function allRulings({ contexts }: SharedState): Readonly<Record<string, Rulings>> {
  const rulings: Record<string, Rulings> = Object.create(null)
  for (const [context, { differences = {} }] of Object.entries(contexts)) {
    for (const { route, ruling } of Object.values(differences)) {
      if (ruling !== null) rulings[routeKey({ context, route })] ??= rulingsOf(differences, route)
    }
  }
  return rulings
}
