// The recording of one seed of one family: the responses of both sides to each request, and their comparisons. Each request is
// computed on its own, so nothing is stored and a run can have any length.
import type { Comparison } from '../../src/model/comparison.ts'
import { type ComparedResponse, compareAnswers } from '../../src/shadow/compare/compare-answers.ts'
import { answerIn, FAMILY_NAMES, type FamilyName, OTHER } from './families.ts'
import { FAULTS, type Fault } from './faults.ts'
import { withNoise } from './noise.ts'
import { seeded, whole } from './random.ts'
import { type Page, requestOf, rightPage } from './shop.ts'

export type Exchange = {
  /** Compares the responses of legacy and of the service. */
  readonly sides: (fault: Fault | undefined) => Comparison
  /** Compares two responses of legacy. */
  readonly self: () => Comparison
}

/** Compares on demand, and each pair of responses once: most runs share most comparisons. */
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

/** In the gateway's order: the response to the client, then that of the service, then the second one of legacy. */
export function answersTo(family: FamilyName, seed: number, number: number) {
  // Each family has its own random numbers, so that they are independent.
  const chance = (...streams: readonly number[]) => seeded(seed, FAMILY_NAMES.indexOf(family), number, ...streams)
  const request = requestOf(number, chance(REQUEST))
  const right = rightPage(request)
  const clock = chance(CLOCK)
  const copiedAt = request.at + 5 + whole(clock, 60)
  const againAt = copiedAt + 5 + whole(clock, 60)
  const page = (stream: number, time: number): Page => withNoise(right, chance(stream), time)
  return {
    request,
    legacy: (): ComparedResponse => answerIn(family, page(LEGACY, request.at)),
    service: (): ComparedResponse => answerIn(family, page(SERVICE, copiedAt)),
    legacyAgain: (): ComparedResponse => answerIn(family, page(LEGACY_AGAIN, againAt)),
    /** The service's response with the fault; undefined if this response does not have it. */
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
