// What the contexts claim together: each route once, each flag once, and only services that exist.
import { formatValue, joinPath, type ReportMistake, suggestName } from '../mistake.ts'
import type { Matching } from './pattern.ts'
import { type Pattern, patternKey } from './pattern.ts'
import type { ValidAuth, ValidContext, ValidIdentity } from './valid-config.ts'

/** Reports services that do not exist. */
export function checkServices(
  contexts: Iterable<ValidContext>,
  services: readonly string[],
  report: ReportMistake,
): void {
  for (const { name, service } of contexts) {
    if (service === undefined || services.includes(service)) continue
    const message = `is not under "services"; ${suggestName(service, services)}`
    report({ path: joinPath(joinPath('contexts', name), 'service'), found: formatValue(service), message })
  }
}

/** Reports flags that two contexts share: a context moves as one, by a flag of its own. */
export function checkFlags(contexts: Iterable<ValidContext>, report: ReportMistake): void {
  const owners = new Map<string, string>()
  for (const { name, flag } of contexts) {
    if (flag === undefined) continue
    const owner = owners.get(flag)
    if (owner === undefined) {
      owners.set(flag, name)
      continue
    }
    const message = `is already the flag of the context "${owner}"; give "${name}" a flag of its own, or make them one context`
    report({ path: joinPath(joinPath('contexts', name), 'flag'), found: formatValue(flag), message })
  }
}

/** Reports routes that are claimed twice: by two contexts, or by one. */
export function checkClaims(contexts: Iterable<ValidContext>, matching: Matching, report: ReportMistake): void {
  const claims = new Map<string, Claim[]>()
  for (const context of contexts) {
    for (const claim of claimsOf(context, matching)) {
      const earlier = claims.get(claim.key) ?? []
      const rival = earlier.find((other) => clash(claim, other))
      if (rival !== undefined) {
        const whose = rival.context === claim.context ? 'the same context' : `the context "${rival.context}"`
        const message = `${describe(claim)} is already claimed by ${whose} at ${rival.path} (${describe(rival)}); let one of them go, or name different methods in both`
        report({ path: claim.path, found: '', message })
      }
      claims.set(claim.key, [...earlier, claim])
    }
  }
}

/** Reports a token's claim in the header that a proxy in front says the user in: one header, one meaning. */
export function checkClaimHeaders(
  contexts: Iterable<ValidContext>,
  { user }: ValidIdentity,
  report: ReportMistake,
): void {
  if (user?.header === undefined) return
  const auths = new Set<ValidAuth>([...contexts].flatMap(({ routes }) => routes.flatMap(({ auth }) => auth ?? [])))
  for (const { path, claims } of auths) {
    for (const { claim, header } of claims) {
      if (header.toLowerCase() !== user.header) continue
      const message =
        'is the header of identity.user, which says who the user is; write another, such as "X-User-Email"'
      report({ path: joinPath(joinPath(path, 'claims'), claim), found: formatValue(header), message })
    }
  }
}

type Claim = {
  readonly key: string
  readonly context: string
  readonly path: string
  readonly pattern: Pattern
  readonly methods: readonly string[] | undefined
}

function claimsOf(context: ValidContext, matching: Matching): Claim[] {
  return context.routes.flatMap(({ pattern, methods, host }, index) => {
    if (pattern === undefined) return []
    const key = `${host ?? ''} ${patternKey(pattern, matching)}`
    const path = joinPath(joinPath(joinPath('contexts', context.name), 'routes'), index)
    return [{ key, context: context.name, path, pattern, methods }]
  })
}

/** Within a context a route that names its methods may refine one that does not; between contexts that is a dispute. */
function clash(one: Claim, other: Claim): boolean {
  const isOneContext = one.context === other.context
  if (one.methods === undefined || other.methods === undefined) {
    return !isOneContext || one.methods === other.methods
  }
  const taken = new Set(isOneContext ? other.methods : withHead(other.methods))
  return (isOneContext ? one.methods : withHead(one.methods)).some((method) => taken.has(method))
}

/** GET covers HEAD. */
function withHead(methods: readonly string[]): readonly string[] {
  return methods.includes('GET') ? [...methods, 'HEAD'] : methods
}

function describe({ methods, pattern }: Claim): string {
  return `"${methods === undefined ? '' : `${methods.join(',')} `}${pattern.text}"`
}
