// Reads a context and its routes.
import { z } from 'zod'
import type { AnonymousPolicy, FallbackPolicy, RewritePart, Timeouts } from '../../model/route.ts'
import type { ShadowPolicy } from '../../model/shadow-policy.ts'
import { formatValue, joinPath, type ReportMistake } from '../mistake.ts'
import { assertComplete, readFields, readValue } from './fields.ts'
import {
  bytes,
  fallback,
  flag,
  flagName,
  methods,
  middleware,
  milliseconds,
  oneOf,
  routeHost,
  words,
} from './leaves.ts'
import { type Pattern, paramNames, parsePattern, rewriteParts } from './pattern.ts'
import { readAuth } from './read-auth.ts'
import { mergeHeaders, readHeaders } from './read-headers.ts'
import { DEFAULT_SHADOW, readShadow } from './read-shadow.ts'
import { readTimeouts } from './read-upstream.ts'
import type { ValidAuth, ValidContext, ValidHeaders, ValidRoute } from './valid-config.ts'

/** Returns the context. Keys with a reported mistake are missing, and so are routes without a pattern. */
export function readContext(
  written: unknown,
  path: string,
  name: string,
  report: ReportMistake,
  warn: ReportMistake,
): ValidContext {
  const { auth, shadow, anonymous, headers, ...fields } = readFields(written, path, CONTEXT, report, CONTEXT_EXAMPLE)
  const common: ContextDefaults = {
    anonymous,
    headers: readHeaders(headers, joinPath(path, 'headers'), report),
    auth: auth === undefined ? undefined : readAuth(auth, joinPath(path, 'auth'), report),
    shadow:
      shadow === undefined ? DEFAULT_SHADOW : readShadow(shadow, joinPath(path, 'shadow'), DEFAULT_SHADOW, report),
  }
  const routes = (fields.routes ?? []).map((route, index) => {
    return readRoute(route, joinPath(joinPath(path, 'routes'), index), common, report)
  })
  const policy = readFallback(fields.fallback, joinPath(path, 'fallback'), warn)
  return assertComplete<ValidContext>({ ...fields, fallback: policy, name, routes })
}

function readFallback(
  written: 'reads' | 'all' | boolean | undefined,
  path: string,
  warn: ReportMistake,
): FallbackPolicy | undefined {
  if (written !== true) return written
  const message =
    'now means "reads": a write that cannot reach the service gets 503 instead of going to legacy; write "reads", or "all" if legacy may take writes'
  warn({ path, found: 'true', message })
  return 'reads'
}

/** The settings of a context that apply to each of its routes. */
type ContextDefaults = {
  readonly anonymous: AnonymousPolicy | undefined
  readonly headers: ValidHeaders | undefined
  readonly auth: ValidAuth | undefined
  readonly shadow: ShadowPolicy
}

const CONTEXT = {
  owner: words(200),
  service: z.string({ error: 'must be the name of a service under "services"' }),
  flag: flagName,
  routes: z
    .array(z.unknown(), { error: 'must be a list of routes such as ["GET /products/:id", "/api/catalog/*"]' })
    .nonempty({ error: 'must hold at least one route such as "/api/catalog/*"' }),
  fallback: fallback.default('reads'),
  whenStale: oneOf(['hold', 'legacy']).default('hold'),
  staleAfterMs: milliseconds(1).default(60_000),
  rollback: oneOf(['allowed', 'forward-only']).default('allowed'),
  anonymous: oneOf(['cookie', 'ip', 'legacy']).optional(),
  headers: z.unknown(),
  auth: z.unknown(),
  shadow: z.unknown(),
} as const

const CONTEXT_EXAMPLE = '{ owner: "team-a", service: "a", flag: "migrate-a", routes: ["/a/*"] }'

const ROUTE = {
  path: z.string({ error: 'must be a path pattern such as "/products/:id"' }),
  methods: methods.optional(),
  host: routeHost.optional(),
  rewrite: z.string({ error: 'must be a path such as "/v2/products/:id"' }).optional(),
  timeouts: z.unknown(),
  maxBodyBytes: bytes(0, Number.MAX_SAFE_INTEGER).optional(),
  upgrade: flag.default(false),
  allowEncodedSlashes: flag.optional(),
  anonymous: oneOf(['cookie', 'ip', 'legacy']).optional(),
  middleware: middleware.optional(),
  headers: z.unknown(),
  auth: z.unknown(),
  shadow: z.unknown(),
} as const

/** Reads a route in either form. Its pattern is undefined, contrary to its type, where a mistake in it was reported. */
function readRoute(written: unknown, path: string, common: ContextDefaults, report: ReportMistake): ValidRoute {
  if (typeof written === 'string') return readShortRoute(written, path, common, report)
  const fields = readFields(written, path, ROUTE, report, '{ path: "/products/:id" }, or a string')
  const pattern = fields.path === undefined ? undefined : readPathOnly(fields.path, joinPath(path, 'path'), report)
  const timeouts: Partial<Timeouts> | undefined = readTimeouts(fields.timeouts, joinPath(path, 'timeouts'), report)
  if (fields.upgrade && fields.middleware !== undefined) {
    const message =
      'middleware does not run for WebSockets: an upgrade has no response; write one route for upgrades and another with the middleware'
    report({ path: joinPath(path, 'middleware'), found: '', message })
  }
  if (fields.upgrade && fields.methods?.some((method) => method !== 'GET')) {
    const methods = formatValue(fields.methods.join(', '))
    const message =
      'an upgrade is always a GET; write ["GET"] or leave "methods" out, and give other methods their own route'
    report({ path: joinPath(path, 'methods'), found: methods, message })
  }
  return assertComplete<ValidRoute>({
    pattern,
    methods: fields.methods,
    host: fields.host,
    rewrite: readRewrite(fields.rewrite, joinPath(path, 'rewrite'), pattern, report),
    timeouts,
    maxBodyBytes: fields.maxBodyBytes === 0 ? Number.MAX_SAFE_INTEGER : fields.maxBodyBytes,
    upgrade: fields.upgrade,
    allowEncodedSlashes: fields.allowEncodedSlashes,
    anonymous: fields.anonymous ?? common.anonymous,
    middleware: fields.middleware ?? [],
    headers: mergeHeaders(common.headers, readHeaders(fields.headers, joinPath(path, 'headers'), report)),
    auth: readOwnAuth(fields.auth, joinPath(path, 'auth'), common.auth, report),
    shadow: readOwnShadow(fields.shadow, joinPath(path, 'shadow'), common.shadow, report),
  })
}

/** The `auth` of a route replaces that of its context as a whole; `false` asks for no token. */
function readOwnAuth(written: unknown, path: string, contexts: ValidAuth | undefined, report: ReportMistake) {
  if (written === undefined) return contexts
  return written === false ? undefined : readAuth(written, path, report)
}

/** Each `shadow` key of a route replaces the key of its context; `false` disables shadowing. */
function readOwnShadow(written: unknown, path: string, contexts: ShadowPolicy, report: ReportMistake) {
  if (written === undefined) return contexts
  return written === false ? undefined : readShadow(written, path, contexts, report)
}

/** `'GET,POST /cart'` or `'/cart'`. */
function readShortRoute(written: string, path: string, common: ContextDefaults, report: ReportMistake): ValidRoute {
  const { list, pattern } = splitMethods(written)
  const named = list && readValue(list, path, methods, (mistake) => report({ ...mistake, path }))
  return assertComplete<ValidRoute>({
    pattern: readPattern(pattern, path, report),
    methods: named,
    host: undefined,
    rewrite: undefined,
    timeouts: undefined,
    maxBodyBytes: undefined,
    upgrade: false,
    allowEncodedSlashes: undefined,
    middleware: [],
    ...common,
  })
}

function readPathOnly(written: string, path: string, report: ReportMistake): Pattern | undefined {
  const { list, pattern } = splitMethods(written)
  if (list === undefined) return readPattern(written, path, report)
  const quoted = list.map((method) => `"${method.toUpperCase()}"`).join(', ')
  report({
    path,
    found: formatValue(written),
    message: `is only the path; write "${pattern}" and methods: [${quoted}]`,
  })
  return undefined
}

function splitMethods(written: string): { list: string[] | undefined; pattern: string } {
  const text = written.trim()
  const [, list, pattern] = /^([A-Za-z-]+(?:\s*,\s*[A-Za-z-]+)*)\s+(\S.*)$/s.exec(text) ?? []
  if (list === undefined || pattern === undefined) return { list: undefined, pattern: text }
  return { list: list.split(/\s*,\s*/), pattern }
}

function readPattern(written: string, path: string, report: ReportMistake): Pattern | undefined {
  const parsed = parsePattern(written)
  if (parsed.ok) return parsed.pattern
  for (const message of parsed.complaints) report({ path, found: formatValue(written), message })
  return undefined
}

function readRewrite(
  written: string | undefined,
  path: string,
  pattern: Pattern | undefined,
  report: ReportMistake,
): RewritePart[] | undefined {
  if (written === undefined) return undefined
  const rewrite = readPattern(written, path, report)
  if (rewrite === undefined) return undefined
  const names = pattern && paramNames(pattern)
  for (const name of names === undefined ? [] : paramNames(rewrite)) {
    if (names?.includes(name)) continue
    const list = names?.length ? names.map(formatParam).join(', ') : 'none'
    const message = `uses ${formatParam(name)}, which the path ${formatValue(pattern?.text)} does not have; its parameters: ${list}`
    report({ path, found: formatValue(written), message })
  }
  return rewriteParts(rewrite)
}

function formatParam(name: string): string {
  return name === '*' ? '"*"' : `":${name}"`
}
