// The config of a gateway inside an application: checked at once as far as no file is needed, and completely later.
import { ConfigError } from '../../config/config-error.ts'
import { checkConfig } from '../../config/load/load.ts'
import type { Mistake } from '../../config/mistake.ts'
import type { ValidConfig } from '../../config/schema/valid-config.ts'
import { validate } from '../../config/schema/validate.ts'
import type { EmbeddedRoutes } from './options.ts'

/** The config with a placeholder for legacy, which is the application and has no address. */
function configOf(routes: EmbeddedRoutes) {
  return { ...routes, legacy: { url: 'http://127.0.0.1' } }
}

/** @throws {ConfigError} with every mistake that can be found without reading a file */
export function validateEmbedded(routes: EmbeddedRoutes): ValidConfig {
  const validated = validate(configOf(routes))
  if (!validated.ok) throw new ConfigError('routes', validated.mistakes)
  const mistakes = settingsWithoutEffect(validated.config)
  if (mistakes.length > 0) throw new ConfigError('routes', mistakes)
  return validated.config
}

/**
 * Checks the config again, now with the files that it names.
 *
 * @throws {ConfigError} with every mistake
 */
export async function checkEmbedded(
  routes: EmbeddedRoutes,
): Promise<{ readonly config: ValidConfig; readonly warnings: readonly Mistake[] }> {
  const checked = await checkConfig(configOf(routes), process.cwd())
  if (!checked.ok) throw new ConfigError('routes', checked.mistakes)
  return checked
}

/** Settings of a route that only a gateway in front of the application applies. Each is a mistake. */
function settingsWithoutEffect({ contexts }: ValidConfig): Mistake[] {
  const message =
    'has no effect inside an application: leave it out, or put the gateway in front with "strangler serve"'
  return [...contexts].flatMap(([name, { routes }]) =>
    routes.flatMap(({ middleware, timeouts, maxBodyBytes, upgrade }, index) => {
      const settings = { middleware: middleware.length > 0, timeouts, maxBodyBytes, upgrade }
      return Object.entries(settings).flatMap(([key, value]) =>
        value === undefined || value === false
          ? []
          : [{ path: `contexts.${name}.routes[${index}].${key}`, found: '', message }],
      )
    }),
  )
}
