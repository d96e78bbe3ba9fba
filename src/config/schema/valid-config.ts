// The migration map after validation, with its defaults: the input of `compile`.
import type { AuthPolicy } from '../../model/auth.ts'
import type { AnonymousPolicy, FallbackPolicy, Middleware, RewritePart, Timeouts, Upstream } from '../../model/route.ts'
import type { ShadowLimits, ShadowPolicy } from '../../model/shadow-policy.ts'
import type { DrainPolicy, EjectionPolicy, Limits, RetryPolicy } from '../../model/snapshot.ts'
import type { Matching, Pattern } from './pattern.ts'

export type ValidConfig = {
  readonly legacy: Upstream
  /** The settings of the paths that no context owns. */
  readonly unowned: ValidUnowned
  readonly services: ReadonlyMap<string, Upstream>
  readonly contexts: ReadonlyMap<string, ValidContext>
  readonly identity: ValidIdentity
  readonly trustedProxies: readonly string[]
  readonly limits: Limits
  readonly retries: RetryPolicy
  readonly ejection: EjectionPolicy
  readonly shadowing: ShadowLimits
  readonly drain: DrainPolicy
  readonly matching: Matching
}

/** The keys of `legacy` that do not belong to its upstream. */
export type ValidUnowned = {
  readonly headers: ValidHeaders | undefined
  readonly middleware: readonly Middleware[]
}

export type ValidContext = {
  readonly name: string
  readonly owner: string
  /** The name of a defined service. */
  readonly service: string
  readonly flag: string
  readonly fallback: FallbackPolicy
  readonly whenStale: 'hold' | 'legacy'
  readonly staleAfterMs: number
  readonly rollback: 'allowed' | 'forward-only'
  readonly routes: readonly ValidRoute[]
}

export type ValidRoute = {
  readonly pattern: Pattern
  /** Undefined for every method. */
  readonly methods: readonly string[] | undefined
  /** In lower case, without port; may begin with `*.`. */
  readonly host: string | undefined
  readonly rewrite: readonly RewritePart[] | undefined
  readonly timeouts: Partial<Timeouts> | undefined
  readonly maxBodyBytes: number | undefined
  readonly upgrade: boolean
  readonly allowEncodedSlashes: boolean | undefined
  /** The value of the route, else of its context; undefined for that of `identity`. */
  readonly anonymous: AnonymousPolicy | undefined
  readonly middleware: readonly Middleware[]
  /** The rules of the context, replaced field by field by those of the route. */
  readonly headers: ValidHeaders | undefined
  /** The policy of the route, else of its context; undefined where no token is required. */
  readonly auth: ValidAuth | undefined
  /** The keys of the route, else of its context; undefined where the route is never shadowed. */
  readonly shadow: ShadowPolicy | undefined
}

/** Rules by field name in lower case. */
export type ValidHeaders = {
  readonly request: ReadonlyMap<string, HeaderRule>
  readonly response: ReadonlyMap<string, HeaderRule>
}

/** Sets a field to one value, or removes it where the value is undefined. `path` is its place in the map. */
export type HeaderRule = { readonly name: string; readonly value: string | undefined; readonly path: string }

/** `path` is the place in the map, for mistakes that are found when the key is read. */
export type ValidAuth = Omit<AuthPolicy, 'id'> & { readonly path: string }

export type ValidIdentity = {
  readonly user: { readonly header: string; readonly trust: readonly string[] } | undefined
  readonly session: { readonly cookie: string } | undefined
  readonly anonymous: AnonymousPolicy
}
