// What a user's routes.config.ts imports.
export {
  type ContextConfig,
  type DrainConfig,
  defineRoutes,
  type EjectionConfig,
  type HealthConfig,
  type IdentityConfig,
  type LimitsConfig,
  type MatchingConfig,
  type RetriesConfig,
  type RouteConfig,
  type RoutesConfig,
  type TimeoutsConfig,
  type TlsConfig,
  type UpstreamConfig,
  type UserIdentityConfig,
} from './config/define-routes.ts'
export type { Middleware } from './model/route.ts'
