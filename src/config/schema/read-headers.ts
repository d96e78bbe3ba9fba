// Reads the header rules of legacy, a context or a route, and merges the rules of a route into those of its context.
import { z } from 'zod'
import { USER_ID_HEADER } from '../../model/auth.ts'
import { mayChangeRequestField, mayChangeResponseField } from '../../model/gateway-fields.ts'
import { formatValue, joinPath, type Mistake, type ReportMistake } from '../mistake.ts'
import { ownValue, readFields, readValue } from './fields.ts'
import { headerName, headerValue } from './leaves.ts'
import type { HeaderRule, ValidContext, ValidHeaders, ValidIdentity } from './valid-config.ts'

/** Reads `headers`. Rules with a reported mistake are left out. */
export function readHeaders(written: unknown, path: string, report: ReportMistake): ValidHeaders | undefined {
  if (written === undefined) return undefined
  const { request, response } = readFields(written, path, HEADERS, report, EXAMPLE)
  return {
    request: readRules(request, joinPath(path, 'request'), mayChangeRequestField, report),
    response: readRules(response, joinPath(path, 'response'), mayChangeResponseField, report),
  }
}

/** A rule of the route replaces the rule of its context for the same field. */
export function mergeHeaders(
  context: ValidHeaders | undefined,
  route: ValidHeaders | undefined,
): ValidHeaders | undefined {
  if (context === undefined || route === undefined) return route ?? context
  return {
    request: new Map([...context.request, ...route.request]),
    response: new Map([...context.response, ...route.response]),
  }
}

/** Reports request rules for the headers that identify the user: only the gateway sets these. */
export function checkHeaderRules(
  unowned: ValidHeaders | undefined,
  contexts: Iterable<ValidContext>,
  { user }: ValidIdentity,
  report: ReportMistake,
): void {
  const routes = [...contexts].flatMap((context) => context.routes)
  const claims = routes.flatMap(({ auth }) => auth?.claims ?? [])
  const names = [USER_ID_HEADER, ...claims.map(({ header }) => header), ...(user?.header ? [user.header] : [])]
  const reserved = new Set(names.map((name) => name.toLowerCase()))
  const mistakes = new Map<string, Mistake>()
  for (const headers of [unowned, ...routes.map((route) => route.headers)]) {
    for (const [lower, { name, path }] of headers?.request ?? []) {
      if (!reserved.has(lower)) continue
      const message = 'identifies the user to services, so only the gateway sets it; use another header name'
      mistakes.set(path, { path, found: formatValue(name), message })
    }
  }
  for (const mistake of mistakes.values()) report(mistake)
}

const HEADERS = { request: z.unknown(), response: z.unknown() } as const
const RULES = { set: z.unknown(), remove: z.unknown() } as const
const EXAMPLE = '{ request: { set: { "X-Api-Key": "..." } }, response: { remove: ["X-Powered-By"] } }'
const NAMES = z.array(z.unknown(), { error: 'must be a list of header names such as ["X-Powered-By"]' })
const VALUES = z.record(z.string(), z.unknown(), {
  error: 'must be an object: the value of each header, such as { "X-Api-Key": "..." }',
})

function readRules(
  written: unknown,
  path: string,
  mayChange: (name: string) => boolean,
  report: ReportMistake,
): Map<string, HeaderRule> {
  const rules = new Map<string, HeaderRule>()
  if (written === undefined) return rules
  const { set, remove } = readFields(written, path, RULES, report)
  const add = (rule: HeaderRule) => {
    const lower = rule.name.toLowerCase()
    const earlier = rules.get(lower)
    if (earlier === undefined) rules.set(lower, rule)
    else
      report({
        path: rule.path,
        found: formatValue(rule.name),
        message: `already has a rule at ${earlier.path}; keep one of them`,
      })
  }
  const readName = (name: unknown, where: string): string | undefined => {
    const read = readValue(name, where, headerName, report)
    if (read === undefined || mayChange(read)) return read
    const message = 'belongs to the gateway or to one connection, so rules cannot change it; leave it out'
    report({ path: where, found: formatValue(read), message })
    return undefined
  }
  const values = set === undefined ? {} : (readValue(set, joinPath(path, 'set'), VALUES, report) ?? {})
  for (const key of Object.keys(values)) {
    const where = joinPath(joinPath(path, 'set'), key)
    const name = readName(key, where)
    // A value may be a secret.
    const hide = (mistake: Mistake) => report({ ...mistake, found: 'not shown' })
    const value = readValue(ownValue(values, key), where, headerValue, hide)
    if (name !== undefined && value !== undefined) add({ name, value, path: where })
  }
  const names = remove === undefined ? [] : (readValue(remove, joinPath(path, 'remove'), NAMES, report) ?? [])
  for (const [index, entry] of names.entries()) {
    const where = joinPath(joinPath(path, 'remove'), index)
    const name = readName(entry, where)
    if (name !== undefined) add({ name, value: undefined, path: where })
  }
  return rules
}
