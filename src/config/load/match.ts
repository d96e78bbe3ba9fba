// Finds the route of a request: by the most specific host, then the most specific path, then the method.
import findMyWay from 'find-my-way'
import { hostName } from '../../model/host-name.ts'
import type { Route, RouteMatch } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { Matching } from '../schema/pattern.ts'
import { matchable, type ParamReader, paramReader, patternKey, routerPattern } from '../schema/pattern.ts'
import type { ValidRoute } from '../schema/valid-config.ts'

/** A route with its written form. */
export type CompiledRoute = { readonly written: ValidRoute; readonly route: Route }

/** Compiles the routes into one function. A request that no route matches gets `unowned`. */
export function compileMatch(claimed: readonly CompiledRoute[], unowned: Route, matching: Matching): Snapshot['match'] {
  const unownedMatch: RouteMatch = { route: unowned, params: NO_PARAMS }
  if (claimed.length === 0) return () => unownedMatch
  const { exact, below, anywhere } = compileHosts(claimed, matching)
  const isHostBound = exact.size > 0 || below.length > 0

  return (method, host, path) => {
    // No context owns a target that is not a path, such as `*`.
    if (path.charCodeAt(0) !== SLASH) return unownedMatch
    const comparable = matchable(path, matching)
    if (isHostBound) {
      const name = hostName(host.toLowerCase())
      const match = exact.get(name)?.(method, comparable, path)
      if (match !== undefined) return match
      for (const { suffix, find } of below) {
        const match = name.endsWith(suffix) && name.length > suffix.length ? find(method, comparable, path) : undefined
        if (match !== undefined) return match
      }
    }
    return anywhere(method, comparable, path) ?? unownedMatch
  }
}

const SLASH = 47
const NO_PARAMS: RouteMatch['params'] = Object.freeze(Object.create(null))

/** Finds a route by method and by the path as the router compares it; `path` is the path itself, for parameters. */
type Find = (method: string, comparable: string, path: string) => RouteMatch | undefined

function compileHosts(claimed: readonly CompiledRoute[], matching: Matching) {
  const groups = Map.groupBy(claimed, ({ written }) => written.host ?? '')
  const exact = new Map<string, Find>()
  const below: { suffix: string; find: Find }[] = []
  for (const [host, members] of groups) {
    const find = compileMethods(members, matching)
    if (host.startsWith('*.')) below.push({ suffix: host.slice(1), find })
    else if (host !== '') exact.set(host, find)
  }
  below.sort((left, right) => right.suffix.length - left.suffix.length)
  return { exact, below, anywhere: compileMethods(groups.get('') ?? [], matching) }
}

/**
 * Builds one tree for each method of the map, and one for all other methods. Every tree contains the routes without methods; a
 * route with the method replaces a route without methods that has the same pattern.
 */
function compileMethods(claimed: readonly CompiledRoute[], matching: Matching): Find {
  const forAny = claimed.filter(({ written }) => written.methods === undefined)
  const forGet = claimed.filter(({ written }) => written.methods?.includes('GET'))
  const other = compileTree(forAny, matching)
  if (forAny.length === claimed.length) return other
  const named = new Map<string, Find>()
  for (const method of new Set(claimed.flatMap(({ written }) => written.methods ?? []))) {
    const forMethod = claimed.filter(({ written }) => written.methods?.includes(method))
    named.set(method, compileTree([...forAny, ...(method === 'HEAD' ? forGet : []), ...forMethod], matching))
  }
  const get = named.get('GET') ?? other
  if (!named.has('HEAD')) named.set('HEAD', get)
  return (method, comparable, path) => {
    const find = method === 'GET' ? get : (named.get(method) ?? other)
    return find(method, comparable, path)
  }
}

/** Builds one tree, and a second one of the wildcard routes alone if the trailing slash is ignored. */
function compileTree(claimed: readonly CompiledRoute[], matching: Matching): Find {
  const find = compileRouter(claimed, matching)
  const wildcards = claimed.filter(({ written }) => endsInWildcard(written.pattern.text))
  if (matching.trailingSlash === 'strict' || wildcards.length === 0) return find
  const findFolder = wildcards.length === claimed.length ? find : compileRouter(wildcards, matching)
  return (method, comparable, path) => {
    const match = find(method, comparable, path)
    if (path.charCodeAt(path.length - 1) !== SLASH || path.length === 1) return match
    // `/a/*` owns `/a/` too, unless a route without a wildcard owns it: `matchable` has taken the slash away.
    if (match !== undefined && !endsInWildcard(match.route.pattern)) return match
    return findFolder(method, `${comparable}/`, path) ?? match
  }
}

function endsInWildcard(pattern: string): boolean {
  return pattern.endsWith('/*')
}

/** The later one of two routes with the same pattern replaces the earlier one. */
function compileRouter(claimed: readonly CompiledRoute[], matching: Matching): Find {
  if (claimed.length === 0) return () => undefined
  const routes = new Map(claimed.map((claim) => [patternKey(claim.written.pattern, matching), claim]))
  // `matchable` handles slashes, case and percent signs, so that find-my-way can use its fastest search.
  const router = findMyWay({ maxParamLength: Number.MAX_SAFE_INTEGER, querystringParser: () => undefined })
  for (const { written, route } of routes.values()) {
    router.on('GET', routerPattern(written.pattern, matching), handler, compileLeaf(written, route, matching))
  }
  router.compile()
  return (_method, comparable, path) => {
    const result = router.find('GET', comparable)
    return result === null ? undefined : (result.store as LeafMatcher)(path)
  }
}

/** Returns the match for a path that the router has found. */
type LeafMatcher = (path: string) => RouteMatch | undefined

function compileLeaf({ pattern }: ValidRoute, route: Route, matching: Matching): LeafMatcher {
  const read = paramReader(pattern, matching)
  if (read === undefined) {
    const match: RouteMatch = { route, params: NO_PARAMS }
    return () => match
  }
  return (path) => {
    // The router accepts an empty parameter between two slashes; a pattern does not.
    if (path.indexOf('//') !== -1 && read(path) === undefined) return undefined
    return new MatchWithParams(route, path, read)
  }
}

/** Reads the parameters only when they are used: few routes have a rewrite. */
class MatchWithParams implements RouteMatch {
  readonly route: Route
  readonly #path: string
  readonly #read: ParamReader

  constructor(route: Route, path: string, read: ParamReader) {
    this.route = route
    this.#path = path
    this.#read = read
  }

  get params(): RouteMatch['params'] {
    return this.#read(this.#path) ?? NO_PARAMS
  }
}

/** find-my-way requires a handler; it is never called, as the router is used only for lookups. */
function handler(): void {}
