// The results of comparisons, as operators see them: read from the store and judged on each request.
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import type { Field } from '../../model/comparison.ts'
import { COUNT_PERIOD_MS, NO_COUNTS, type RouteCounts } from '../../model/comparison-counts.ts'
import type { StoredExample } from '../../model/comparison-example.ts'
import type { ComparisonStore } from '../../model/comparison-store.ts'
import type {
  ComparisonViews,
  DifferenceReference,
  DifferencesView,
  DifferenceView,
  ExportForm,
  ExportResult,
  ParityView,
  RuleTrialResult,
  SideTargets,
  TimeWindow,
} from '../../model/comparison-views.ts'
import type { SharedState } from '../../model/shared-state.ts'
import { firstField } from '../compare/first-field.ts'
import { rowOf, rowsOf, sortRows } from '../stats/difference-rows.ts'
import { fingerprintOf } from '../stats/fingerprint.ts'
import { groupByRoute, type JudgedRoute, judgeRoute } from '../stats/judge-route.ts'
import { comparisonsIn } from '../stats/noise.ts'
import { parityStatsOf } from '../stats/parity-stats.ts'
import { notesOf } from '../stats/rulings.ts'
import { exportDifference } from './export-difference.ts'
import { createRuleTrialRunner, type RuleTrialRunner } from './rule-trial.ts'

export type ComparisonReportsOptions = {
  readonly store: Pick<ComparisonStore, 'counts' | 'examples'>
  readonly state: () => SharedState
  /** The names in the current config, in its order. */
  readonly contexts: () => readonly string[]
  /** The clock that the fleet shares, in milliseconds since 1970. */
  readonly wallTime: () => number
  /** The addresses that a request of a context would be sent to; undefined if the config has no such context. */
  readonly sidesOf: (context: string, request: SentRequest) => SideTargets | undefined
  readonly runTrial?: RuleTrialRunner
}

/** `target`: path and query of the client's request. */
type SentRequest = { readonly method: string; readonly host: string; readonly target: string }

/** Each method rejects with `StoreUnavailable` if the store does not answer. */
export class ComparisonReports implements ComparisonViews {
  readonly #options: ComparisonReportsOptions
  readonly #store: ComparisonReportsOptions['store']
  readonly #runTrial: RuleTrialRunner

  constructor(options: ComparisonReportsOptions) {
    this.#options = options
    this.#store = options.store
    this.#runTrial = options.runTrial ?? createRuleTrialRunner()
  }

  async parity({ windowMs, target }: { readonly windowMs: number; readonly target: number }): Promise<ParityView> {
    const window = this.#windowOf(windowMs)
    const counts = await this.#store.counts({ from: window.from })
    const judged = await this.#judge(counts)
    const contexts = this.#options.contexts().map((context) => {
      const routes = judged.filter((route) => route.context === context)
      return {
        context,
        dataSince: dataSince(counts.filter((hour) => hour.context === context)),
        ...parityStatsOf(routes, target),
        routes: routes.map((route) => ({ route: route.route, ...parityStatsOf([route], target) })),
      }
    })
    return { ...window, target, contexts }
  }

  async differences(context: string, windowMs: number): Promise<DifferencesView> {
    const window = this.#windowOf(windowMs)
    const [counts, examples] = await Promise.all([
      this.#store.counts({ context, from: window.from }),
      this.#store.examples({ context }),
    ])
    const judged = await this.#judge(counts)
    const notes = notesOf(this.#options.state(), context)
    const sum = (numberOf: (route: JudgedRoute) => number) =>
      judged.reduce((total, route) => total + numberOf(route), 0)
    return {
      ...window,
      context,
      dataSince: dataSince(counts),
      comparisons: sum((route) => comparisonsIn(route.counts)),
      pairs: sum((route) => route.counts.pairs),
      fieldsLeftOut: sum((route) => route.counts.fieldsLeftOut),
      differences: sortRows(judged.flatMap((route) => rowsOf(route, notes, examples))),
    }
  }

  async find(fingerprint: string): Promise<DifferenceReference | undefined> {
    return FINGERPRINT.test(fingerprint) ? this.#find(fingerprint) : undefined
  }

  async difference(reference: DifferenceReference, windowMs: number): Promise<DifferenceView> {
    const { context, fingerprint } = reference
    const examples = await this.#store.examples({ context, fingerprint })
    const window = this.#windowOf(windowMs)
    const view = await this.#viewOf(reference, window, examples)
    // A caller that names a difference wants its counts, even if they are older than the window.
    return view.difference.lastSeen === null ? this.#viewOf(reference, { ...window, from: 0 }, examples) : view
  }

  async exportRequest(reference: DifferenceReference, form: ExportForm): Promise<ExportResult> {
    const { fingerprint, context, route, field } = reference
    const [newest] = await this.#store.examples({ context, fingerprint })
    if (newest === undefined) return { kind: 'impossible', why: NO_EXAMPLE }
    const { method, target, headers } = newest.example.request
    const sides = this.#options.sidesOf(context, { method, host: firstField(headers, 'host'), target })
    if (sides === undefined) return { kind: 'impossible', why: `the config has no context "${context}" any more` }
    return exportDifference({ fingerprint, context, route, field, example: newest.example, sides }, form)
  }

  async tryRules(context: string, written: unknown, route: string | undefined): Promise<RuleTrialResult> {
    const examples = await this.#store.examples({ context })
    return this.#runTrial(
      written,
      examples.filter((stored) => route === undefined || stored.route === route),
    )
  }

  /** Begins with the hour in which the window begins, because counts are kept by the hour. */
  #windowOf(windowMs: number): TimeWindow {
    const to = this.#options.wallTime()
    const from = to - windowMs
    return { from: from - (from % COUNT_PERIOD_MS), to }
  }

  /** Judging many fields takes long, and this thread serves clients: it yields after each route. */
  async #judge(counts: readonly RouteCounts[]): Promise<JudgedRoute[]> {
    const judged: JudgedRoute[] = []
    for (const routeCounts of groupByRoute(counts)) {
      judged.push(judgeRoute(routeCounts, notesOf(this.#options.state(), routeCounts[0].context)))
      await yieldToEventLoop()
    }
    return judged
  }

  async #viewOf(
    { context, route, field, fingerprint }: DifferenceReference,
    { from, to }: TimeWindow,
    examples: readonly StoredExample[],
  ): Promise<DifferenceView> {
    const counts = (await this.#store.counts({ context, from })).filter((hour) => hour.route === route)
    const [judged = judgeRoute([{ context, route, start: 0, counts: NO_COUNTS }], {})] = await this.#judge(counts)
    const newest = new Map(examples.slice(0, 1).map((example) => [fingerprint, example]))
    return {
      from: from === 0 ? (dataSince(counts) ?? to) : from,
      to,
      difference: rowOf(judged, field, notesOf(this.#options.state(), context), newest),
      examples: examples.map(({ example }) => example),
      noise: fieldsOf(examples).filter((name) => judged.verdicts.get(name) === 'noise'),
    }
  }

  /** A fingerprint cannot be reversed. The search begins with the notes and examples, which are fewer than the counts. */
  async #find(fingerprint: string): Promise<DifferenceReference | undefined> {
    const contexts = this.#options.contexts()
    for (const context of contexts) {
      const notes = notesOf(this.#options.state(), context)
      const note = Object.hasOwn(notes, fingerprint) ? notes[fingerprint] : undefined
      if (note !== undefined) return { fingerprint, context, route: note.route, field: note.field }
    }
    const [example] = await this.#store.examples({ fingerprint })
    const match = example ?? (await this.#findInCounts(fingerprint))
    if (match === undefined || !contexts.includes(match.context)) return undefined
    return { fingerprint, context: match.context, route: match.route, field: match.field }
  }

  async #findInCounts(fingerprint: string): Promise<Omit<DifferenceReference, 'fingerprint'> | undefined> {
    for (const routeCounts of groupByRoute(await this.#store.counts({ from: 0 }))) {
      const [{ context, route }] = routeCounts
      const fields = new Set(routeCounts.flatMap(({ counts }) => Object.keys(counts.fields) as Field[]))
      for (const field of fields)
        if (fingerprintOf(context, route, field) === fingerprint) return { context, route, field }
      await yieldToEventLoop()
    }
    return undefined
  }
}

const FINGERPRINT = /^[0-9a-f]{10}$/
const NO_EXAMPLE =
  'no example of it is kept, so there is no request to export: examples are kept for 7 days, of the 500 differences of a context that were seen last'

function fieldsOf(examples: readonly StoredExample[]): Field[] {
  const fields = examples.flatMap(({ example }) =>
    example.differences.map(({ kind, path }): Field => `${kind} ${path}`),
  )
  return [...new Set(fields)]
}

/** The start of the first hour with counts; null without counts. */
function dataSince(counts: readonly RouteCounts[]): number | null {
  return counts.length === 0 ? null : Math.min(...counts.map(({ start }) => start))
}
