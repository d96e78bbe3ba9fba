// `strangler flip`: moves the percentage of a context, and answers when it has happened.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { pathOf } from '../client/api-path.ts'
import { CHANGING, wordAt } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changing } from '../manual.ts'
import { parse } from '../parse.ts'
import { readPercentage } from '../read-percentage.ts'
import { carryOut } from '../request-change.ts'

const summary = 'moves the percentage of a context'

export const flip: Command = {
  summary,
  help: changing({
    summary,
    usage: 'strangler flip CONTEXT PERCENT [options]',
    examples: ['strangler flip catalog 25 --reason "week two"', 'strangler flip catalog 0'],
    about: `
The flag of the context is moved where it lives, in the gateway's own flags or in Unleash, and every
gateway reads it at once. The answer comes when all have, or names those that have not. PERCENT is
whole, from 0 to 100, of people and not of requests: who the service answers at 10 %, it answers at 25 %.

A pin and the kill switch stand above the percentage: it shows when they are taken off.`,
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, CHANGING, 2)
    const context = wordAt(positionals, 0, 'what to move: strangler flip catalog 25')
    const percentage = readPercentage(wordAt(positionals, 1, `how far: strangler flip ${context} 25`))
    return carryOut({ method: 'PUT', path: pathOf(PATHS.flag, context), body: { percentage } }, values)
  },
}
