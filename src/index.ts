// The public names of the package, which a routes.config.ts imports.
export {
  type AuthConfig,
  type ContextConfig,
  type DrainConfig,
  defineRoutes,
  type EjectionConfig,
  type HeaderRulesConfig,
  type HeadersConfig,
  type HealthConfig,
  type IdentityConfig,
  type JwtConfig,
  type LegacyConfig,
  type LimitsConfig,
  type MatchingConfig,
  type NoiseConfig,
  type RetriesConfig,
  type RouteConfig,
  type RoutesConfig,
  type ShadowConfig,
  type ShadowingConfig,
  type TimeoutsConfig,
  type TlsConfig,
  type UpstreamConfig,
  type UserIdentityConfig,
} from './config/define-routes.ts'
export type { Algorithm } from './model/auth.ts'
export type { NormaliseStep, Rules } from './model/comparison-rules.ts'
export type { Middleware } from './model/route.ts'
