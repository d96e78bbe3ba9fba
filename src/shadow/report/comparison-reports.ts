// What comparing has found, as it is shown: read from the store when somebody asks, and judged then.
import { setImmediate as breathe } from 'node:timers/promises'
import type { Field } from '../../model/comparison.ts'
import type { RouteCounts } from '../../model/comparison-counts.ts'
import { NO_COUNTS } from '../../model/comparison-counts.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { ComparisonStore } from '../../model/comparison-store.ts'
import type { ComparisonViews, DifferenceReference, DifferenceView, SideTargets } from '../../model/comparison-views.ts'
import type { SharedState } from '../../model/shared-state.ts'
import { firstField } from '../compare/first-field.ts'
import { inOrder, rowOf, rowsOf } from '../stats/difference-rows.ts'
import { fingerprintOf } from '../stats/fingerprint.ts'
import { comparisonsIn } from '../stats/noise.ts'
import { beginningOf, byRoute, type JudgedRoute, judgeRoute, notesOf, tallyOf } from '../stats/judge-route.ts'
import { exportOf } from './export-difference.ts'
import { createTrial, type Trial } from './rule-trial.ts'

export type ReportsOptions = {
  readonly store: Pick<ComparisonStore, 'counts' | 'examples'>
  readonly state: () => SharedState
  /** Of the config in use, in its order. */
  readonly contexts: () => readonly string[]
  /** The clock that the fleet shares, in milliseconds since 1970. */
  readonly wallTime: () => number
  /** Where a request of a context would be sent. @param target as the client asked for it */
  readonly sidesOf: (context: string, request: Asked) => SideTargets | undefined
  readonly trial?: Trial
}

export type Asked = { readonly method: string; readonly host: string; readonly target: string }

export function createReports(options: ReportsOptions): ComparisonViews {
  const { store, state, contexts, wallTime, sidesOf, trial = createTrial() } = options

  return {
    parity: async ({ windowMs, target }) => {
      const window = windowNow(windowMs)
      const counts = await store.counts({ from: window.from })
      const judged = await judge(counts)
      const of = (name: string) => judged.filter(({ context }) => context === name)
      return {
        ...window,
        target,
        contexts: contexts().map((context) => {
          const routes = of(context).map((one) => ({ route: one.route, ...tallyOf([one], target) }))
          const dataSince = beginOf(counts.filter((one) => one.context === context))
          return { context, dataSince, ...tallyOf(of(context), target), routes }
        }),
      }
    },

    differences: async (context, windowMs) => {
      const window = windowNow(windowMs)
      const [counts, examples] = await Promise.all([
        store.counts({ context, from: window.from }),
        store.examples({ context }),
      ])
      const judged = await judge(counts)
      const notes = notesOf(state(), context)
      const sum = (of: (route: JudgedRoute) => number) => judged.reduce((total, route) => total + of(route), 0)
      return {
        ...window,
        context,
        dataSince: beginOf(counts),
        comparisons: sum(({ counts }) => comparisonsIn(counts)),
        pairs: sum(({ counts }) => counts.pairs),
        fieldsLeftOut: sum(({ counts }) => counts.fieldsLeftOut),
        differences: inOrder(judged.flatMap((route) => rowsOf(route, notes, examples))),
      }
    },

    find: async (fingerprint) => (FINGERPRINT.test(fingerprint) ? find(fingerprint) : undefined),

    difference: async (found, windowMs) => {
      const examples = await store.examples({ context: found.context, fingerprint: found.fingerprint })
      const window = windowNow(windowMs)
      const inWindow = await viewOf(found, window, examples)
      // Whoever names one wants to see it, if it was last seen the day before yesterday too.
      return inWindow.difference.lastSeen === null ? viewOf(found, { ...window, from: 0 }, examples) : inWindow
    },

    exportRequest: async ({ fingerprint, context, route, field }, as) => {
      const [newest] = await store.examples({ context, fingerprint })
      if (newest === undefined) return { kind: 'impossible', why: NO_EXAMPLE }
      const { method, target, headers } = newest.example.request
      const sides = sidesOf(context, { method, host: firstField(headers, 'host'), target })
      if (sides === undefined) return { kind: 'impossible', why: `the config has no context "${context}" any more` }
      return exportOf({ fingerprint, context, route, field, example: newest.example, sides }, as)
    },

    tryRules: async (context, written, route) => {
      const examples = await store.examples({ context })
      return trial(
        written,
        examples.filter((one) => route === undefined || one.route === route),
      )
    },
  }

  function windowNow(windowMs: number): { readonly from: number; readonly to: number } {
    const to = wallTime()
    return { from: beginningOf(windowMs, to), to }
  }

  /** Judging many fields takes its time, and this thread serves: between routes it does. */
  async function judge(counts: readonly RouteCounts[]): Promise<JudgedRoute[]> {
    const judged: JudgedRoute[] = []
    for (const ofRoute of byRoute(counts)) {
      judged.push(judgeRoute(ofRoute, notesOf(state(), ofRoute[0].context)))
      await breathe()
    }
    return judged
  }

  async function viewOf(
    { context, route, field, fingerprint }: DifferenceReference,
    { from, to }: { readonly from: number; readonly to: number },
    examples: readonly StoredExample[],
  ): Promise<DifferenceView> {
    const counts = (await store.counts({ context, from })).filter((one) => one.route === route)
    const [judged = nothingOf(context, route)] = await judge(counts)
    const [newest] = examples
    const row = rowOf(
      judged,
      field,
      notesOf(state(), context),
      new Map(newest === undefined ? [] : [[fingerprint, newest]]),
    )
    const begins = Math.min(...counts.map(({ start }) => start), to)
    return {
      from: from === 0 ? begins : from,
      to,
      difference: row,
      examples: examples.map(({ example }) => example),
      noise: fieldsIn(examples).filter((one) => judged.verdicts.get(one) === 'noise'),
    }
  }

  /** Where little has to be read, first: a fingerprint tells nothing of what it was made of. */
  async function find(fingerprint: string): Promise<DifferenceReference | undefined> {
    const known = contexts()
    for (const context of known) {
      const notes = notesOf(state(), context)
      const note = Object.hasOwn(notes, fingerprint) ? notes[fingerprint] : undefined
      if (note !== undefined) return { fingerprint, context, route: note.route, field: note.field }
    }
    const [example] = await store.examples({ fingerprint })
    const found = example ?? (await findCounted(fingerprint))
    if (found === undefined || !known.includes(found.context)) return undefined
    return { fingerprint, context: found.context, route: found.route, field: found.field }
  }

  async function findCounted(fingerprint: string): Promise<Omit<DifferenceReference, 'fingerprint'> | undefined> {
    for (const ofRoute of byRoute(await store.counts({ from: 0 }))) {
      const [{ context, route }] = ofRoute
      const fields = new Set(ofRoute.flatMap(({ counts }) => Object.keys(counts.fields) as Field[]))
      for (const field of fields)
        if (fingerprintOf(context, route, field) === fingerprint) return { context, route, field }
      await breathe()
    }
    return undefined
  }
}

function nothingOf(context: string, route: string): JudgedRoute {
  return judgeRoute([{ context, route, start: 0, counts: NO_COUNTS }], {})
}

const FINGERPRINT = /^[0-9a-f]{10}$/
const NO_EXAMPLE =
  'no example of it is kept, so there is no request to export: examples are kept for 7 days, of the 500 differences of a context that were seen last'

function fieldsIn(examples: readonly StoredExample[]): Field[] {
  const fields = examples.flatMap(({ example }) =>
    example.differences.map(({ kind, path }): Field => `${kind} ${path}`),
  )
  return [...new Set(fields)]
}

function beginOf(counts: readonly RouteCounts[]): number | null {
  return counts.length === 0 ? null : Math.min(...counts.map(({ start }) => start))
}
