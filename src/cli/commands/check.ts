// `strangler check`: checks a config, and lists all mistakes and warnings.
import { loadConfig } from '../../config/load/load.ts'
import { formatMistakes } from '../../config/mistake.ts'
import { identityTrustMistakes } from '../../config/schema/identity-trust.ts'
import type { ValidationResult } from '../../config/schema/validate.ts'
import type { Command } from '../command.ts'
import { countNoun } from '../format/print.ts'
import { parse } from '../parse.ts'
import { argumentsFor, describeOptionNames, readOptions } from '../serve-options.ts'

export const check: Command = {
  summary: 'checks a config and lists every mistake in it',
  help: `strangler check: checks a config, and lists every mistake and warning in it

Usage: strangler check [--config FILE] [--json]

${describeOptionNames(['config'])}
  --json                  the result as JSON

Exits 0 if the config can be used, with warnings or without, and 1 if it cannot.
`,
  run: async (args) => {
    const { values } = parse(args, { ...argumentsFor(['config']), json: { type: 'boolean' } }, 0)
    const { config: file } = readOptions(values)
    const loaded = refuseWideTrust(await loadConfig(file))
    if (values.json === true) {
      const result = loaded.ok
        ? { ok: true, file, mistakes: [], warnings: loaded.warnings }
        : { ok: false, file, mistakes: loaded.mistakes, warnings: [] }
      process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`)
    } else if (loaded.ok) {
      const { contexts, services } = loaded.config
      const routes = [...contexts.values()].reduce((sum, context) => sum + context.routes.length, 0)
      process.stdout.write(
        `${file} is valid: ${countNoun(contexts.size, 'context')}, ${countNoun(routes, 'route')}, ${countNoun(services.size, 'service')}\n`,
      )
      const { warnings } = loaded
      if (warnings.length > 0)
        process.stderr.write(`${countNoun(warnings.length, 'warning')}\n${formatMistakes(warnings)}\n`)
    } else {
      const { mistakes } = loaded
      process.stderr.write(`${file}: ${countNoun(mistakes.length, 'mistake')}\n${formatMistakes(mistakes)}\n`)
    }
    return loaded.ok ? 0 : 1
  },
}

/** In this version a gateway starts with such a map and logs a warning; `check` rejects it already. */
function refuseWideTrust(loaded: ValidationResult): ValidationResult {
  const mistakes = loaded.ok ? identityTrustMistakes(loaded.config) : []
  return mistakes.length === 0 ? loaded : { ok: false, mistakes }
}
