// Rules tried on the examples that are kept, before anybody saves them. Pure. Examples are masked, so not all can be told.

import { type Comparison, type Field, splitField } from '../../model/comparison.ts'
import type { Example, MaskedAnswer, StoredExample } from '../../model/comparison-example.ts'
import type { DifferenceTrial, RuleTrial } from '../../model/comparison-views.ts'
import { type ComparedResponse, compareAnswers } from '../compare/compare-answers.ts'
import { type CompiledRules, NO_RULES } from '../compare/rules.ts'
import { differingFields } from '../stats/route-counter.ts'

/** @param examples of one context */
export function tryRules(rules: CompiledRules, examples: readonly StoredExample[]): RuleTrial {
  const differences = new Map<string, { -readonly [K in keyof DifferenceTrial]: DifferenceTrial[K] }>()
  const appearing = new Map<string, { readonly route: string; readonly field: Field; readonly in: Set<string> }>()
  for (const { fingerprint, route, field, example } of examples) {
    const { effect: became, more } = tryOn(example, field, rules)
    const tried = differences.get(fingerprint) ?? { fingerprint, route, ...splitField(field), ...NOTHING_YET }
    tried[became]++
    differences.set(fingerprint, tried)
    for (const one of more) {
      const entry = appearing.get(`${route}\n${one}`) ?? { route, field: one, in: new Set() }
      // One request with several differences is an example of each.
      appearing.set(`${route}\n${one}`, { ...entry, in: entry.in.add(`${example.at} ${example.request.target}`) })
    }
  }
  return {
    examples: examples.length,
    differences: [...differences.values()],
    appearing: [...appearing.values()].map((one) => {
      return { route: one.route, ...splitField(one.field), examples: one.in.size }
    }),
  }
}

type TrialEffect = 'forgiven' | 'remaining' | 'untried'
const NOTHING_YET = { forgiven: 0, remaining: 0, untried: 0 } as const satisfies Record<TrialEffect, number>

function tryOn(example: Example, field: Field, rules: CompiledRules): { effect: TrialEffect; more: Field[] } {
  const legacy = answerOf(example.legacy)
  const service = answerOf(example.service)
  const hasBodies = example.legacy.body !== null && example.service.body !== null
  const found = (by: CompiledRules): Set<Field> => {
    const fields = fieldsOf(compareAnswers(legacy, service, by))
    return new Set(hasBodies ? fields : fields.filter((one) => !isOfBody(one)))
  }
  const bare = found(NO_RULES)
  const left = found(rules)
  // What is masked alike on both sides no longer differs: that a rule forgives it cannot be seen.
  const became = !bare.has(field) ? 'untried' : left.has(field) ? 'remaining' : 'forgiven'
  const reported = example.differences.map(({ kind, path }): Field => `${kind} ${path}`)
  const hidden = new Set(reported.filter((one) => !bare.has(one)).map((one) => splitField(one).path))
  const more = [...left].filter((one) => !reported.includes(one) && !hidden.has(splitField(one).path))
  return { effect: became, more }
}

/** Bodies are kept decoded. Without both, none is compared. */
function answerOf({ status, headers, body }: MaskedAnswer): ComparedResponse {
  const fields = headers.flatMap((name, i) =>
    i % 2 === 0 && name.toLowerCase() !== 'content-encoding' ? [name, headers[i + 1] ?? ''] : [],
  )
  return { status, headers: fields, body: Buffer.from(body ?? ''), isTruncated: false }
}

function fieldsOf(comparison: Comparison): Field[] {
  return comparison.kind === 'compared' ? differingFields(comparison) : []
}

function isOfBody(field: Field): boolean {
  return splitField(field).path.startsWith('$')
}
