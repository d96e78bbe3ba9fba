// `strangler thaw`: a frozen context may be changed again.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { pathOf } from '../client/api-path.ts'
import { CHANGING, wordAt } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changing } from '../manual.ts'
import { parse } from '../parse.ts'
import { carryOut } from '../request-change.ts'

const summary = 'lets a frozen context be moved again'

export const thaw: Command = {
  summary,
  help: changing({
    summary,
    usage: 'strangler thaw CONTEXT [options]',
    examples: ['strangler thaw catalog'],
    about: 'Nothing moves by it: pin and percentage are as they were.',
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, CHANGING, 1)
    const context = wordAt(positionals, 0, 'what to thaw: strangler thaw catalog')
    return carryOut({ method: 'DELETE', path: pathOf(PATHS.freeze, context) }, values)
  },
}
