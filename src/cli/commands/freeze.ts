// `strangler freeze`: nobody changes a context by mistake.
import { PATHS } from '../../admin/contract/contract.ts'
import { carryOut } from '../carry-out.ts'
import { CHANGING, wordAt } from '../client/asking.ts'
import { pathOf } from '../client/paths.ts'
import type { Command } from '../command.ts'
import { changing } from '../manual.ts'
import { parse } from '../parse.ts'

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
