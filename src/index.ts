// What a user's routes.config.ts imports.
export {
  type AuthConfig,
  type ContextConfig,
  type DrainConfig,
  defineRoutes,
  type EjectionConfig,
  type HealthConfig,
  type IdentityConfig,
  type JwtConfig,
  type LimitsConfig,
  type MatchingConfig,
  type NoiseConfig,
  type RetriesConfig,
  type RouteConfig,
  type RoutesConfig,
  type ShadowConfig,
  type TimeoutsConfig,
  type TlsConfig,
  type UpstreamConfig,
  type UserIdentityConfig,
} from './config/define-routes.ts'
export type { Algorithm } from './model/auth.ts'
export type { NormaliseStep, Rules } from './model/comparison-rules.ts'
export type { Middleware } from './model/route.ts'
