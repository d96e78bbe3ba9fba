// What was found, by route and stretch of time, and what is known of each field by now. Lives in the comparing thread.
import type { Comparison, Field, Rulings } from '../../model/comparison.ts'
import type { Counts, Parity } from '../../model/comparison-counts.ts'
import { COUNT_PERIOD_MS, DEFAULT_WINDOW_MS, NO_COUNTS, type RouteCounts } from '../../model/comparison-counts.ts'
import { mergeCounts } from '../../model/merge-counts.ts'
import type { ShadowOutcome } from '../../model/shadow.ts'
import type { NoisePolicy } from '../../model/shadow-policy.ts'
import { type Counter, createCounter, fieldsIn } from './route-counter.ts'
import { DEFAULT_NOISE, type FieldVerdicts, judgeFields, pairShareNow, verdictOf } from './noise.ts'
import { account, addAccounts, parityOf } from './parity.ts'
import { routeKey } from '../worker/messages.ts'

/** What a gate asks for unless it says otherwise. */
export const DEFAULT_TARGET = 0.999

/** Of one route: the window, and the stretch that it begins in. */
export const STRETCHES_KEPT = DEFAULT_WINDOW_MS / COUNT_PERIOD_MS + 1

export type Place = { readonly context: string; readonly route: string; readonly at: number }

export type Scorebook = {
  /** @returns where the comparison is counted, by what is known now */
  readonly compared: (place: Place, noise: NoisePolicy, comparison: Comparison) => ShadowOutcome
  /** Legacy was asked twice. */
  readonly paired: (place: Place, comparison: Comparison) => void
  readonly counter: (place: Place) => Counter
  /** Judges anew the routes in which something was counted since. @returns what of them is to be told */
  readonly judge: (now: number) => Judged
  /** From before this process, or from other gateways. */
  readonly learn: (counts: readonly RouteCounts[]) => void
  readonly rule: (rulings: Readonly<Record<string, Rulings>>) => void
}

export type Judged = {
  readonly counts: readonly RouteCounts[]
  readonly pairShares: Readonly<Record<string, number>>
  /** By context, over the window, for the target of 99.9 %. */
  readonly parity: Readonly<Record<string, Parity>>
}

type Page = {
  readonly context: string
  readonly route: string
  /** The one that was counted in last is the last. */
  readonly stretches: Map<number, Counter>
  readonly changed: Set<number>
  readonly learned: RouteCounts[]
  noise: NoisePolicy
  verdicts: FieldVerdicts
  noiseFields: ReadonlySet<Field>
  total: Counts
}

export function createScorebook(): Scorebook {
  const pages = new Map<string, Page>()
  let rulings: Readonly<Record<string, Rulings>> = {}
  let judgedAt = 0
  /** What is true of each page may have changed without anything being counted in it. */
  let isAllDue = false

  return {
    compared: (place, noise, comparison) => {
      const page = pageOf(place)
      page.noise = noise
      counterOf(page, place.at).compared(comparison, place.at, page.noiseFields)
      return outcomeOf(comparison, page.verdicts)
    },
    paired: (place, comparison) => counterOf(pageOf(place), place.at).paired(comparison, place.at),
    counter: (place) => counterOf(pageOf(place), place.at),
    learn: (counts) => {
      for (const learned of counts) pageOf(learned).learned.push(learned)
    },
    rule: (said) => {
      rulings = said
      isAllDue = true
      for (const page of pages.values()) judgePage(page)
    },
    judge: (now) => {
      const counts: RouteCounts[] = []
      const pairShares: Record<string, number> = {}
      const touched = new Set<string>()
      const isNextStretch = Math.floor(now / COUNT_PERIOD_MS) !== Math.floor(judgedAt / COUNT_PERIOD_MS)
      const areAllDue = isAllDue || isNextStretch
      isAllDue = false
      judgedAt = now
      for (const [key, page] of pages) {
        if (page.changed.size === 0 && !areAllDue) continue
        judgePage(page)
        touched.add(page.context)
        pairShares[key] = pairShareNow(page.total, page.verdicts, optionsOf(page))
        for (const start of page.changed) {
          const counter = page.stretches.get(start)
          if (counter !== undefined)
            counts.push({ context: page.context, route: page.route, start, counts: counter.counts() })
        }
        page.changed.clear()
      }
      return { counts, pairShares, parity: parityOfAll(touched) }
    },
  }

  function pageOf({ context, route }: Pick<Place, 'context' | 'route'>): Page {
    const key = routeKey({ context, route })
    const known = pages.get(key)
    if (known !== undefined) return known
    const page: Page = {
      context,
      route,
      stretches: new Map(),
      changed: new Set(),
      learned: [],
      noise: DEFAULT_NOISE,
      verdicts: new Map(),
      noiseFields: new Set(),
      total: NO_COUNTS,
    }
    pages.set(key, page)
    return page
  }

  function counterOf(page: Page, at: number): Counter {
    const start = at - (at % COUNT_PERIOD_MS)
    const counter = page.stretches.get(start) ?? createCounter()
    page.stretches.delete(start)
    page.stretches.set(start, counter)
    // Not by the time of day: what is forgotten while a clock goes wrong would begin at nothing once it is right again,
    // in the place of what was said before.
    if (page.stretches.size > STRETCHES_KEPT) page.stretches.delete(page.stretches.keys().next().value as number)
    page.changed.add(start)
    return counter
  }

  function judgePage(page: Page): void {
    const isInWindow = (start: number) => start + COUNT_PERIOD_MS >= judgedAt - DEFAULT_WINDOW_MS
    const parts = [
      ...page.learned.filter(({ start }) => isInWindow(start)).map(({ counts }) => counts),
      ...[...page.stretches].filter(([start]) => isInWindow(start)).map(([, counter]) => counter.counts()),
    ]
    page.total = parts.reduce(mergeCounts, NO_COUNTS)
    const key = routeKey(page)
    const said = Object.hasOwn(rulings, key) ? rulings[key] : undefined
    page.verdicts = judgeFields(page.total, said, optionsOf(page))
    page.noiseFields = new Set([...page.verdicts].filter(([, verdict]) => verdict === 'noise').map(([field]) => field))
  }

  function parityOfAll(contexts: ReadonlySet<string>): Record<string, Parity> {
    return Object.fromEntries(
      [...contexts].map((name) => {
        const accounts = [...pages.values()].filter(({ context }) => context === name)
        const sum = accounts.map(({ total, verdicts }) => account(total, verdicts)).reduce(addAccounts)
        return [name, parityOf(sum, DEFAULT_TARGET)]
      }),
    )
  }
}

function outcomeOf(comparison: Comparison, verdicts: FieldVerdicts): ShadowOutcome {
  if (comparison.kind === 'uncomparable') return 'uncomparable'
  if (comparison.differences.length === 0) return comparison.forgiven > 0 ? 'ignored' : 'matched'
  const verdict = verdictOf(fieldsIn(comparison), verdicts)
  return verdict === 'mismatch' ? 'mismatched' : verdict
}

function optionsOf({ noise }: Page) {
  return { ...DEFAULT_NOISE, pairShare: noise.pairShare, pairShareOpen: noise.pairShareOpen }
}
