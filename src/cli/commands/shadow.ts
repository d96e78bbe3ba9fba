// `strangler shadow`: sets the share of requests that are copied to the other side.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { apiPath } from '../client/api-path.ts'
import { CHANGE_OPTIONS, type ChangeValues, readArgument } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changeManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { readPercentage } from '../read-percentage.ts'
import { type ChangeCall, requestChange } from '../request-change.ts'
import { UsageError } from '../usage-error.ts'
import { tryRule } from './try-rule.ts'

const summary = 'copies requests of a context to the other side, to compare the answers'

export const shadow: Command = {
  summary,
  help: changeManual({
    summary,
    usage: 'strangler shadow CONTEXT PERCENT|--as-configured [options]',
    examples: [
      'strangler shadow catalog 10 --reason "before week two"',
      'strangler shadow catalog --as-configured',
      'strangler shadow try-rule catalog rules.json',
    ],
    about: `
PERCENT is a whole number from 0 to 100: how many of a hundred eligible requests are copied, on every
gateway. It overrides the sample of the config, except for routes with "shadow": false. Clients get the
same answers as without shadowing, so it also works while the context is frozen. While the kill switch is
on, no requests are copied.

try-rule CONTEXT FILE compares the stored examples again by rules that are not in the config yet. FILE
contains the value of "compare" as JSON. The output lists the differences that the rules forgive; nothing
is changed.`,
    options: `  --as-configured         removes the percentage: the sample of the config is in force again
  --route ROUTE           with try-rule: only examples of this route, such as "GET /products/:id"`,
  }),
  run: async (args) => {
    const options = { ...CHANGE_OPTIONS, 'as-configured': { type: 'boolean' }, route: { type: 'string' } } as const
    const { values, positionals } = parse(args, options, 3)
    const [subcommand, ...rest] = positionals
    // A context may be named "try-rule": then a percentage or nothing follows.
    if (subcommand === 'try-rule' && !/^\d/.test(rest[0] ?? '') && rest.length > 0) return tryRule(rest, values)
    if (values.route !== undefined)
      throw new UsageError('--route needs try-rule: strangler shadow try-rule catalog rules.json')
    if (rest.length > 1) throw new UsageError(`"${rest[1]}" is one argument too many; see --help`)
    return setShadow(positionals, values)
  },
}

type ShadowValues = ChangeValues & { readonly 'as-configured'?: boolean | undefined }

async function setShadow(positionals: readonly string[], values: ShadowValues): Promise<number> {
  const context = readArgument(positionals, 0, 'the context: strangler shadow catalog 10')
  return requestChange(shadowCall(context, positionals, values['as-configured'] === true), values)
}

function shadowCall(context: string, positionals: readonly string[], isAsConfigured: boolean): ChangeCall {
  const path = apiPath(PATHS.shadow, context)
  if (isAsConfigured) {
    if (positionals.length > 1) throw new UsageError('a percentage and --as-configured exclude each other')
    return { method: 'DELETE', path }
  }
  const text = readArgument(positionals, 1, `the percentage: strangler shadow ${context} 10, or --as-configured`)
  return { method: 'PUT', path, body: { percentage: readPercentage(text) } }
}
