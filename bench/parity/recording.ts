// One seed’s recording of one service: what each side answered to each request, and how the answers compare. Each
// request can be had by itself, so nothing is kept and a run may be as long as it likes.
import type { Comparison } from '../../src/model/comparison.ts'
import { type ComparedResponse, compareAnswers } from '../../src/shadow/compare/compare-answers.ts'
import { answerIn, FAMILY_NAMES, type FamilyName, OTHER } from './families.ts'
import { FAULTS, type Fault } from './faults.ts'
import { withNoise } from './noise.ts'
import { seeded, whole } from './random.ts'
import { type Page, requestOf, rightPage } from './shop.ts'

export type Exchange = {
  /** Of legacy’s answer and the service’s. */
  readonly sides: (fault: Fault | undefined) => Comparison
  /** Of legacy’s two answers. */
  readonly self: () => Comparison
}

/** Compares when asked, and no pair of answers twice: most runs see the same of most requests. */
export function exchangeOf(family: FamilyName, seed: number, number: number): Exchange {
  const answers = answersTo(family, seed, number)
  const legacy = once(answers.legacy)
  const self = once(() => compareAnswers(legacy(), answers.legacyAgain()))
  const faultless = once(() => compareAnswers(legacy(), answers.service()))
  return {
    self,
    sides: (fault) => {
      const wrong = fault === undefined ? undefined : answers.wrong(fault)
      return wrong === undefined ? faultless() : compareAnswers(legacy(), wrong)
    },
  }
}

/** The client’s answer first, then the service’s, then legacy’s second, as the gateway asks for them. */
export function answersTo(family: FamilyName, seed: number, number: number) {
  // Of its own for each family, so that one is no copy of the other.
  const chance = (...what: readonly number[]) => seeded(seed, FAMILY_NAMES.indexOf(family), number, ...what)
  const request = requestOf(number, chance(REQUEST))
  const right = rightPage(request)
  const clock = chance(CLOCK)
  const copiedAt = request.at + 5 + whole(clock, 60)
  const againAt = copiedAt + 5 + whole(clock, 60)
  const page = (who: number, at: number): Page => withNoise(right, chance(who), at)
  return {
    request,
    legacy: (): ComparedResponse => answerIn(family, page(LEGACY, request.at)),
    service: (): ComparedResponse => answerIn(family, page(SERVICE, copiedAt)),
    legacyAgain: (): ComparedResponse => answerIn(family, page(LEGACY_AGAIN, againAt)),
    /** The service’s answer with the fault in it; undefined where this one has none. */
    wrong: (fault: Fault): ComparedResponse | undefined => {
      const random = chance(FAULT, FAULTS.indexOf(fault))
      if (!fault.affects(request, random)) return undefined
      const spoilt = fault.apply(page(SERVICE, copiedAt), request, random)
      return answerIn(fault.swapsFamily ? OTHER[family] : family, spoilt)
    },
  }
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

const REQUEST = 1
const CLOCK = 2
const LEGACY = 3
const SERVICE = 4
const LEGACY_AGAIN = 5
const FAULT = 6
