// The migration map after validation: every default filled in, nothing left to doubt. What compile takes.
import type { AuthPolicy } from '../../model/auth.ts'
import type { AnonymousPolicy, FallbackPolicy, Middleware, RewritePart, Timeouts, Upstream } from '../../model/route.ts'
import type { ShadowLimits, ShadowPolicy } from '../../model/shadow-policy.ts'
import type { DrainPolicy, EjectionPolicy, Limits, RetryPolicy } from '../../model/snapshot.ts'
import type { Matching, Pattern } from './pattern.ts'

export type ValidConfig = {
  readonly legacy: Upstream
  /** For the paths that no context owns. */
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

/** What `legacy` configures beside its upstream. */
export type ValidUnowned = {
  readonly headers: ValidHeaders | undefined
  readonly middleware: readonly Middleware[]
}

export type ValidContext = {
  readonly name: string
  readonly owner: string
  /** The name of a service that exists. */
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
  /** The route's own, else its context's; undefined leaves it to `identity`. */
  readonly anonymous: AnonymousPolicy | undefined
  readonly middleware: readonly Middleware[]
  /** The route's own rules over those of its context. */
  readonly headers: ValidHeaders | undefined
  /** The route's own, else its context's; undefined where none is asked for. */
  readonly auth: ValidAuth | undefined
  /** The route's own keys over its context's; undefined where it is never shadowed. */
  readonly shadow: ShadowPolicy | undefined
}

/** Rules by field name in lower case. */
export type ValidHeaders = {
  readonly request: ReadonlyMap<string, HeaderRule>
  readonly response: ReadonlyMap<string, HeaderRule>
}

/** Sets a field to one value, or removes it where the value is undefined. `path` is its place in the map. */
export type HeaderRule = { readonly name: string; readonly value: string | undefined; readonly path: string }

/** `path` is where it is written, for mistakes that show only when its key is read. */
export type ValidAuth = Omit<AuthPolicy, 'id'> & { readonly path: string }

export type ValidIdentity = {
  readonly user: { readonly header: string; readonly trust: readonly string[] } | undefined
  readonly session: { readonly cookie: string } | undefined
  readonly anonymous: AnonymousPolicy
}
