// Which route owns a request: the most specific host first, then the most specific path, then the method.
import findMyWay from 'find-my-way'
import { hostName } from '../../model/host-name.ts'
import type { Route, RouteMatch } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { Matching } from '../schema/pattern.ts'
import { matchable, type ParamReader, paramReader, patternKey, routerPattern } from '../schema/pattern.ts'
import type { ValidRoute } from '../schema/valid-config.ts'

/** A compiled route beside what it was written as. */
export type Claimed = { readonly written: ValidRoute; readonly route: Route }

/** Compiles the routes into one function. It is total: what no route fits is `unowned`. */
export function compileMatch(claimed: readonly Claimed[], unowned: Route, matching: Matching): Snapshot['match'] {
  const nobody: RouteMatch = { route: unowned, params: NO_PARAMS }
  if (claimed.length === 0) return () => nobody
  const { exact, below, anywhere } = compileHosts(claimed, matching)
  const isHostBound = exact.size > 0 || below.length > 0

  return (method, host, path) => {
    // `*` and whatever else is not a path belongs to nobody.
    if (path.charCodeAt(0) !== SLASH) return nobody
    const comparable = matchable(path, matching)
    if (isHostBound) {
      const name = hostName(host.toLowerCase())
      const bound = exact.get(name)?.(method, comparable, path)
      if (bound !== undefined) return bound
      for (const { suffix, find } of below) {
        const found = name.endsWith(suffix) && name.length > suffix.length ? find(method, comparable, path) : undefined
        if (found !== undefined) return found
      }
    }
    return anywhere(method, comparable, path) ?? nobody
  }
}

const SLASH = 47
const NO_PARAMS: RouteMatch['params'] = Object.freeze(Object.create(null))

/** Finds a route by method and by the path as the router compares it; `path` is the path itself, for parameters. */
type Find = (method: string, comparable: string, path: string) => RouteMatch | undefined

function compileHosts(claimed: readonly Claimed[], matching: Matching) {
  const groups = Map.groupBy(claimed, ({ written }) => written.host ?? '')
  const exact = new Map<string, Find>()
  const below: { suffix: string; find: Find }[] = []
  for (const [host, members] of groups) {
    const find = compileMethods(members, matching)
    if (host.startsWith('*.')) below.push({ suffix: host.slice(1), find })
    else if (host !== '') exact.set(host, find)
  }
  below.sort((one, other) => other.suffix.length - one.suffix.length)
  return { exact, below, anywhere: compileMethods(groups.get('') ?? [], matching) }
}

/**
 * One tree for each method that is named, and one for all others: a method is then no part of the search, and none is
 * unknown to it. Every tree holds the routes that name no method; one that names it takes the place of such a route.
 */
function compileMethods(claimed: readonly Claimed[], matching: Matching): Find {
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

/** One tree, and one of its wildcards alone where the trailing slash is ignored. */
function compileTree(claimed: readonly Claimed[], matching: Matching): Find {
  const find = compileRouter(claimed, matching)
  const wildcards = claimed.filter(({ written }) => endsInWildcard(written.pattern.text))
  if (matching.trailingSlash === 'strict' || wildcards.length === 0) return find
  const findFolder = wildcards.length === claimed.length ? find : compileRouter(wildcards, matching)
  return (method, comparable, path) => {
    const found = find(method, comparable, path)
    if (path.charCodeAt(path.length - 1) !== SLASH || path.length === 1) return found
    // `/a/*` owns `/a/` too, unless a route without a wildcard owns it: `matchable` has taken the slash away.
    if (found !== undefined && !endsInWildcard(found.route.pattern)) return found
    return findFolder(method, `${comparable}/`, path) ?? found
  }
}

function endsInWildcard(pattern: string): boolean {
  return pattern.endsWith('/*')
}

/** Of two routes with the same pattern the later stays. */
function compileRouter(claimed: readonly Claimed[], matching: Matching): Find {
  if (claimed.length === 0) return () => undefined
  const routes = new Map(claimed.map((claim) => [patternKey(claim.written.pattern, matching), claim]))
  // Slashes, case and percents are seen to by `matchable`, which leaves find-my-way its fastest way of matching.
  const router = findMyWay({ maxParamLength: Number.MAX_SAFE_INTEGER, querystringParser: () => undefined })
  for (const { written, route } of routes.values()) {
    router.on('GET', routerPattern(written.pattern, matching), handler, compileLeaf(written, route, matching))
  }
  router.compile()
  return (_method, comparable, path) => {
    const found = router.find('GET', comparable)
    return found === null ? undefined : (found.store as Leaf)(path)
  }
}

/** Makes the match of a path that is known to fit. */
type Leaf = (path: string) => RouteMatch | undefined

function compileLeaf({ pattern }: ValidRoute, route: Route, matching: Matching): Leaf {
  const read = paramReader(pattern, matching)
  if (read === undefined) {
    const match: RouteMatch = { route, params: NO_PARAMS }
    return () => match
  }
  return (path) => {
    // The router would take the nothing between two slashes for a parameter.
    if (path.indexOf('//') !== -1 && read(path) === undefined) return undefined
    return new MatchWithParams(route, path, read)
  }
}

/** Parameters are read when they are asked for: few routes have a rewrite. */
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

/** find-my-way wants something to call; routes are only ever looked up here. */
function handler(): void {}
