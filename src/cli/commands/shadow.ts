// `strangler shadow`: says how much of a context is copied to the other side, and answers when it is so.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { pathOf } from '../client/api-path.ts'
import { CHANGING, type ChangingValues, wordAt } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changing } from '../manual.ts'
import { parse } from '../parse.ts'
import { readPercentage } from '../read-percentage.ts'
import { carryOut, type Wish } from '../request-change.ts'
import { UsageError } from '../usage-error.ts'
import { tryRule } from './try-rule.ts'

const summary = 'copies some of a context to the other side, to compare the answers'

export const shadow: Command = {
  summary,
  help: changing({
    summary,
    usage: 'strangler shadow CONTEXT PERCENT|--as-configured [options]',
    examples: [
      'strangler shadow catalog 10 --reason "before week two"',
      'strangler shadow catalog --as-configured',
      'strangler shadow try-rule catalog rules.json',
    ],
    about: `
PERCENT is whole, from 0 to 100: how many of a hundred eligible requests are copied, on every gateway.
It stands above the sample of the config, but for routes that say "shadow": false. Clients are answered
by whom they would be answered by, and nobody moves: it works while the context is frozen. While the
kill switch is on nothing is copied.

try-rule CONTEXT FILE compares the examples that are kept once more, by rules that are in no config yet:
the file holds what "compare" would be, as JSON. It says what they forgive, and changes nothing.`,
    options: `  --as-configured         as much as the config says, from now on
  --route ROUTE           of try-rule: only examples of this route, such as "GET /products/:id"`,
  }),
  run: async (args) => {
    const options = { ...CHANGING, 'as-configured': { type: 'boolean' }, route: { type: 'string' } } as const
    const { values, positionals } = parse(args, options, 3)
    const [word, ...rest] = positionals
    // A context may be called "try-rule": nobody says two words more after it.
    if (word === 'try-rule' && !/^\d/.test(rest[0] ?? '') && rest.length > 0) return tryRule(rest, values)
    if (values.route !== undefined)
      throw new UsageError('--route is of try-rule: strangler shadow try-rule catalog rules.json')
    if (rest.length > 1) throw new UsageError(`"${rest[1]}" is one word too many; --help shows what it takes`)
    return say(positionals, values)
  },
}

type Values = ChangingValues & { readonly 'as-configured'?: boolean | undefined }

async function say(positionals: readonly string[], values: Values): Promise<number> {
  const context = wordAt(positionals, 0, 'what to shadow: strangler shadow catalog 10')
  return carryOut(wishFor(context, positionals, values['as-configured'] === true), values)
}

function wishFor(context: string, positionals: readonly string[], isAsConfigured: boolean): Wish {
  const path = pathOf(PATHS.shadow, context)
  if (isAsConfigured) {
    if (positionals.length > 1) throw new UsageError('a percentage and --as-configured exclude each other')
    return { method: 'DELETE', path }
  }
  const text = wordAt(positionals, 1, `how much: strangler shadow ${context} 10, or --as-configured`)
  return { method: 'PUT', path, body: { percentage: readPercentage(text) } }
}
