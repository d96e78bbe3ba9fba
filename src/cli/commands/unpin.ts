// `strangler unpin`: the flag of a context decides again.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { pathOf } from '../client/api-path.ts'
import { CHANGING, wordAt } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changing } from '../manual.ts'
import { parse } from '../parse.ts'
import { carryOut } from '../request-change.ts'

const summary = 'takes the pin off a context: its flag decides again'

export const unpin: Command = {
  summary,
  help: changing({
    summary,
    usage: 'strangler unpin CONTEXT [options]',
    examples: ['strangler unpin catalog'],
    about: `After a rollback the percentage is 0 and nobody moves, unless its flag could not be set to that:
the answer says at how many the flag decides now.`,
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, CHANGING, 1)
    const context = wordAt(positionals, 0, 'what to unpin: strangler unpin catalog')
    return carryOut({ method: 'DELETE', path: pathOf(PATHS.pin, context) }, values)
  },
}
