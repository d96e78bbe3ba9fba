// `strangler freeze`: nobody changes a context by mistake.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { pathOf } from '../client/api-path.ts'
import { CHANGING, wordAt } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changing } from '../manual.ts'
import { parse } from '../parse.ts'
import { carryOut } from '../request-change.ts'

const summary = 'lets nobody move a context until thaw'

export const freeze: Command = {
  summary,
  help: changing({
    summary,
    usage: 'strangler freeze CONTEXT [options]',
    examples: ['strangler freeze catalog --reason "Black Friday"'],
    about: `
flip, pin and unpin are refused then, for everybody. rollback and kill still work; and so do shadow and
what is said of differences, as nobody is moved by it.`,
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, CHANGING, 1)
    const context = wordAt(positionals, 0, 'what to freeze: strangler freeze catalog')
    return carryOut({ method: 'PUT', path: pathOf(PATHS.freeze, context) }, values)
  },
}
