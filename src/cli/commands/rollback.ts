// `strangler rollback`: everything of a context to legacy, now.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { pathOf } from '../client/api-path.ts'
import { CHANGING, wordAt } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changing } from '../manual.ts'
import { parse } from '../parse.ts'
import { carryOut } from '../request-change.ts'

const summary = 'sends everything of a context to legacy, at once'

export const rollback: Command = {
  summary,
  help: changing({
    summary,
    usage: 'strangler rollback CONTEXT [--force] [options]',
    examples: ['strangler rollback catalog --reason "prices are wrong"'],
    about: `
For incidents. The context is pinned to legacy without end, for everybody, whatever the flag says; and
its flag is moved to 0 as soon as it can be written, so that nobody moves when the pin is taken off. It
works while Unleash is down, and for a frozen context. When it is mended: strangler unpin, then flip.

A context that the config marks forward-only is not rolled back: legacy may not be able to read what
the service has written since.`,
    options: '  --force                 roll back a forward-only context all the same; asks for the role admin',
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, { ...CHANGING, force: { type: 'boolean' } }, 1)
    const context = wordAt(positionals, 0, 'what to roll back: strangler rollback catalog')
    const body = values.force === true ? { force: true } : {}
    return carryOut({ method: 'POST', path: pathOf(PATHS.rollback, context), body }, values)
  },
}
