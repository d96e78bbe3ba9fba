// Validates a whole map: returns every mistake at once, or the config with its defaults.
import { z } from 'zod'
import { joinPath, type Mistake } from '../mistake.ts'
import { checkClaimHeaders, checkClaims, checkFlags, checkServices } from './claims.ts'
import { readFields, readNamed } from './fields.ts'
import { readContext } from './read-context.ts'
import { checkHeaderRules } from './read-headers.ts'
import {
  readDrain,
  readEjection,
  readIdentity,
  readLimits,
  readMatching,
  readRetries,
  readShadowing,
  TRUST_LIST,
} from './read-settings.ts'
import { readUnowned, readUpstream } from './read-upstream.ts'
import type { ValidConfig } from './valid-config.ts'
import { warnOfContexts, warnOfConversations } from './warnings.ts'

/** A config that can be used, or the mistakes that prevent it. */
export type CheckResult =
  | { readonly ok: true; readonly config: ValidConfig }
  | { readonly ok: false; readonly mistakes: readonly Mistake[] }

/** A `CheckResult` with warnings. Warnings do not prevent the use of the config. */
export type ValidationResult = ValidatedConfig | { readonly ok: false; readonly mistakes: readonly Mistake[] }

export type ValidatedConfig = {
  readonly ok: true
  readonly config: ValidConfig
  readonly warnings: readonly Mistake[]
}

/** Validates a written config and fills in its defaults. Reads no files: PEM files are still paths in the result. */
export function validate(written: unknown): ValidationResult {
  const mistakes: Mistake[] = []
  const warnings: Mistake[] = []
  const report = (mistake: Mistake) => void mistakes.push(mistake)
  const warn = (warning: Mistake) => void warnings.push(warning)
  const top = readFields(written, '', TOP, report)

  const legacy = readUpstream(top.legacy, 'legacy', 'legacy', 'legacy', report)
  const unowned = readUnowned(top.legacy, 'legacy', report)
  const services = readNamed(top.services, 'services', 'services', report)
  const upstreams = services.map(([name, service]) => {
    return [name, readUpstream(service, joinPath('services', name), 'service', name, report)] as const
  })
  const contexts = readNamed(top.contexts, 'contexts', 'contexts', report).map(([name, context]) => {
    return readContext(context, joinPath('contexts', name), name, report, warn)
  })
  const matching = readMatching(top.matching, report)
  checkServices(
    contexts,
    services.map(([name]) => name),
    report,
  )
  checkFlags(contexts, report)
  checkClaims(contexts, matching, report)
  warnOfContexts(contexts, warn)
  const identity = readIdentity(top.identity, report)
  warnOfConversations(contexts, identity, warn)
  checkClaimHeaders(contexts, identity, report)
  checkHeaderRules(unowned.headers, contexts, identity, report)

  const config: ValidConfig = {
    legacy,
    unowned,
    services: new Map(upstreams),
    contexts: new Map(contexts.map((context) => [context.name, context])),
    identity,
    trustedProxies: top.trustedProxies ?? [],
    limits: readLimits(top.limits, report),
    retries: readRetries(top.retries, report),
    ejection: readEjection(top.ejection, report),
    drain: readDrain(top.drain, report),
    shadowing: readShadowing(top.shadowing, report),
    matching,
  }
  return mistakes.length === 0 ? { ok: true, config, warnings } : { ok: false, mistakes }
}

const TOP = {
  legacy: z.unknown(),
  services: z.unknown(),
  contexts: z.unknown(),
  identity: z.unknown(),
  trustedProxies: TRUST_LIST.optional(),
  limits: z.unknown(),
  retries: z.unknown(),
  ejection: z.unknown(),
  drain: z.unknown(),
  shadowing: z.unknown(),
  matching: z.unknown(),
} as const
