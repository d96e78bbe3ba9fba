// The options of the middleware.
import type { RoutesConfig } from '../../config/define-routes.ts'

/** The migration map without the monolith, which is the application itself. */
export type EmbeddedRoutes = Omit<RoutesConfig, 'legacy'>

export type EmbeddedOptions = {
  /** A file of flags in Unleash's client-features format; not read if `unleash` is set. Default: `flags.json`. */
  readonly flags?: string
  readonly unleash?: { readonly url: string; readonly token: string; readonly appName: string }
  /** Signs the anonymous cookie; every process of the application needs the same. Default: a random one per process. */
  readonly cookieSecret?: string
  readonly logLevel?: 'silent' | 'error' | 'warn' | 'info' | 'debug'
  /** The folder for the backup of Unleash's flags. Default: the system's folder for temporary files. */
  readonly stateDir?: string
}
