// Checks across contexts: each route and each flag belongs to one context, and every service exists.
import { formatValue, joinPath, type ReportMistake, suggestName } from '../mistake.ts'
import type { Matching } from './pattern.ts'
import { type Pattern, patternKey } from './pattern.ts'
import type { ValidAuth, ValidContext, ValidIdentity } from './valid-config.ts'

/** Reports names of services that are not defined. */
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

/** Reports flags that two contexts share: each context moves by its own flag. */
export function checkFlags(contexts: Iterable<ValidContext>, report: ReportMistake): void {
  const owners = new Map<string, string>()
  for (const { name, flag } of contexts) {
    if (flag === undefined) continue
    const owner = owners.get(flag)
    if (owner === undefined) {
      owners.set(flag, name)
      continue
    }
    const message = `is already the flag of the context "${owner}"; give "${name}" its own flag, or merge the two contexts`
    report({ path: joinPath(joinPath('contexts', name), 'flag'), found: formatValue(flag), message })
  }
}

/** Reports routes that are claimed twice: by two contexts, or by one. */
export function checkClaims(contexts: Iterable<ValidContext>, matching: Matching, report: ReportMistake): void {
  const claims = new Map<string, Claim[]>()
  for (const context of contexts) {
    for (const claim of claimsOf(context, matching)) {
      const earlier = claims.get(claim.key) ?? []
      const conflict = earlier.find((other) => isConflict(claim, other))
      if (conflict !== undefined) {
        const owner = conflict.context === claim.context ? 'the same context' : `the context "${conflict.context}"`
        const message = `${describe(claim)} is already claimed by ${owner} at ${conflict.path} (${describe(conflict)}); remove one of them, or write different methods in both`
        report({ path: claim.path, found: '', message })
      }
      claims.set(claim.key, [...earlier, claim])
    }
  }
}

/** Reports a claim whose header is the one in which a trusted proxy sends the user id. */
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
        'is the header of identity.user, which contains the user id; write another, such as "X-User-Email"'
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

/** Within a context, a route with methods may refine a route without; between contexts, the two conflict. */
function isConflict(left: Claim, right: Claim): boolean {
  const isSameContext = left.context === right.context
  if (left.methods === undefined || right.methods === undefined) {
    return !isSameContext || left.methods === right.methods
  }
  const rightMethods = new Set(isSameContext ? right.methods : withHead(right.methods))
  return (isSameContext ? left.methods : withHead(left.methods)).some((method) => rightMethods.has(method))
}

/** GET covers HEAD. */
function withHead(methods: readonly string[]): readonly string[] {
  return methods.includes('GET') ? [...methods, 'HEAD'] : methods
}

function describe({ methods, pattern }: Claim): string {
  return `"${methods === undefined ? '' : `${methods.join(',')} `}${pattern.text}"`
}
