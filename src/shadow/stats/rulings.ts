// What operators say of fields, out of the shared state. Pure.
import type { Rulings } from '../../model/comparison.ts'
import type { DifferenceNote, SharedState } from '../../model/shared-state.ts'
import { routeKey } from '../worker/messages.ts'

export function rulingsOf(notes: Readonly<Record<string, DifferenceNote>>, route: string): Rulings {
  const ruled = Object.values(notes).filter((note) => note.route === route && note.ruling !== null)
  return Object.fromEntries(ruled.map(({ field, ruling }) => [field, ruling])) as Rulings
}

/** All of them, by `routeKey`. */
export function allRulings({ contexts }: SharedState): Readonly<Record<string, Rulings>> {
  const all: Record<string, Rulings> = Object.create(null)
  for (const [context, { differences = {} }] of Object.entries(contexts)) {
    for (const { route, ruling } of Object.values(differences)) {
      if (ruling !== null) all[routeKey({ context, route })] ??= rulingsOf(differences, route)
    }
  }
  return all
}
