// Requests that were shed before their capture began. A busy gateway sheds thousands per second, so they are reported together.
import type { Shed } from '../../model/comparison.ts'
import type { Route } from '../../model/route.ts'

/** One method of a route, with its sheds that are not reported yet. */
type ShedRoute = {
  readonly context: string
  /** The route's label: its method and template. */
  readonly route: string
  readonly unreported: Map<Shed, number>
}

export class ShedLog {
  readonly #routes = new WeakMap<Route, Map<string, ShedRoute>>()
  readonly #unreported = new Set<ShedRoute>()

  /** The entry of a route and method; found without allocation after the first request. */
  entryOf(route: Route, context: string, method: string): ShedRoute {
    const existing = this.#routes.get(route)?.get(method)
    if (existing !== undefined) return existing
    const entry: ShedRoute = { context, route: `${method} ${route.pattern}`, unreported: new Map() }
    this.#routes.set(route, (this.#routes.get(route) ?? new Map<string, ShedRoute>()).set(method, entry))
    return entry
  }

  add(entry: ShedRoute, reason: Shed): void {
    entry.unreported.set(reason, (entry.unreported.get(reason) ?? 0) + 1)
    this.#unreported.add(entry)
  }

  /** Removes and returns what was added since the last call. */
  take(): { readonly context: string; readonly route: string; readonly reason: Shed; readonly times: number }[] {
    if (this.#unreported.size === 0) return []
    const taken = [...this.#unreported].flatMap(({ context, route, unreported }) => {
      const counts = [...unreported].map(([reason, times]) => ({ context, route, reason, times }))
      unreported.clear()
      return counts
    })
    this.#unreported.clear()
    return taken
  }
}
