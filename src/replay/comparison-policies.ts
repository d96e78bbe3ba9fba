// Compiles the comparison policies of all routes once, before the replay begins.
import type { ShadowPolicy } from '../model/shadow-policy.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { DEFAULT_REDACTION, type Redaction } from '../shadow/capture/redact.ts'
import { parsePathPattern } from '../shadow/compare/path-pattern.ts'
import { type CompiledRules, NO_RULES, readRules } from '../shadow/compare/rules.ts'

export type ComparisonPolicy = {
  readonly rules: CompiledRules
  readonly redaction: Redaction
}

/** The config was validated, so its rules have no mistakes. */
export function readComparisonPolicies({ routes }: Snapshot): (policy: ShadowPolicy) => ComparisonPolicy {
  const policies = new Map<ShadowPolicy, ComparisonPolicy>()
  for (const { shadow } of routes) if (shadow !== undefined) policies.set(shadow, compilePolicy(shadow))
  return (policy) => policies.get(policy) ?? NO_POLICY
}

const NO_POLICY: ComparisonPolicy = { rules: NO_RULES, redaction: DEFAULT_REDACTION }

function compilePolicy({ compare, showOnly }: ShadowPolicy): ComparisonPolicy {
  const read = readRules(compare)
  const shown = showOnly?.map(parsePathPattern).flatMap((parsed) => (parsed.ok ? [parsed.pattern] : []))
  return { rules: read.ok ? read.rules : NO_RULES, redaction: { showOnly: shown } }
}
