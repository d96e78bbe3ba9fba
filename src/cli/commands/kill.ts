// `strangler kill`: everything to legacy.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { CHANGING } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changing } from '../manual.ts'
import { parse } from '../parse.ts'
import { carryOut } from '../request-change.ts'

const summary = 'sends everything to legacy, at once'

export const kill: Command = {
  summary,
  help: changing({
    summary,
    usage: 'strangler kill [options]',
    examples: ['strangler kill --reason "the new network is down"'],
    about: `
The kill switch stands above every pin and every flag, frozen and forward-only contexts too, and stays
on until strangler revive. For one context alone: strangler rollback.

While the store is unreachable, only the gateway that is asked is killed. For each of the others, create
the file kill.all in its state directory, or send it SIGUSR2.`,
  }),
  run: async (args) => {
    const { values } = parse(args, CHANGING, 0)
    return carryOut({ method: 'PUT', path: PATHS.killSwitch }, values)
  },
}
