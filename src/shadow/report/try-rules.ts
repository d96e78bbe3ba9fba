// Tries rules on stored examples, before an operator puts them into the config. Examples are masked, so not all can be decided. Pure.

import { type Comparison, type Field, splitField } from '../../model/comparison.ts'
import type { Example, MaskedAnswer, StoredExample } from '../../model/comparison-example.ts'
import type { DifferenceTrial, RuleTrial } from '../../model/comparison-views.ts'
import { type ComparedResponse, compareAnswers } from '../compare/compare-answers.ts'
import { type CompiledRules, NO_RULES } from '../compare/rules.ts'
import { differingFields } from '../stats/route-counter.ts'

/** @param examples of one context */
export function tryRules(rules: CompiledRules, examples: readonly StoredExample[]): RuleTrial {
  const differences = new Map<string, { -readonly [K in keyof DifferenceTrial]: DifferenceTrial[K] }>()
  const appearing = new Map<string, { readonly route: string; readonly field: Field; readonly requests: Set<string> }>()
  for (const { fingerprint, route, field, example } of examples) {
    const { effect, newFields } = tryOn(example, field, rules)
    const tried = differences.get(fingerprint) ?? { fingerprint, route, ...splitField(field), ...NOTHING_YET }
    tried[effect]++
    differences.set(fingerprint, tried)
    for (const newField of newFields) {
      const entry = appearing.get(`${route}\n${newField}`) ?? { route, field: newField, requests: new Set() }
      // A request with several differences has an example for each; it counts once.
      entry.requests.add(`${example.at} ${example.request.target}`)
      appearing.set(`${route}\n${newField}`, entry)
    }
  }
  return {
    examples: examples.length,
    differences: [...differences.values()],
    appearing: [...appearing.values()].map(({ route, field, requests }) => {
      return { route, ...splitField(field), examples: requests.size }
    }),
  }
}

type TrialEffect = 'forgiven' | 'remaining' | 'untried'
const NOTHING_YET = { forgiven: 0, remaining: 0, untried: 0 } as const satisfies Record<TrialEffect, number>

/** @returns the effect on the difference of the example, and fields that differ only with these rules */
function tryOn(example: Example, field: Field, rules: CompiledRules): { effect: TrialEffect; newFields: Field[] } {
  const legacy = answerOf(example.legacy)
  const service = answerOf(example.service)
  const hasBodies = example.legacy.body !== null && example.service.body !== null
  const compareBy = (applied: CompiledRules): Set<Field> => {
    const fields = fieldsOf(compareAnswers(legacy, service, applied))
    return new Set(hasBodies ? fields : fields.filter((name) => !isOfBody(name)))
  }
  const bare = compareBy(NO_RULES)
  const left = compareBy(rules)
  // Values that are masked alike on both sides do not differ any more, so the effect of rules on them is unknown.
  const effect: TrialEffect = !bare.has(field) ? 'untried' : left.has(field) ? 'remaining' : 'forgiven'
  const reported = example.differences.map(({ kind, path }): Field => `${kind} ${path}`)
  const hidden = new Set(reported.filter((name) => !bare.has(name)).map((name) => splitField(name).path))
  const newFields = [...left].filter((name) => !reported.includes(name) && !hidden.has(splitField(name).path))
  return { effect, newFields }
}

/** Stored bodies are decoded, so the coding field is left out. */
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
