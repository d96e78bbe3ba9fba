// `strangler revive`: the end of kill.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { CHANGING } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changing } from '../manual.ts'
import { parse } from '../parse.ts'
import { carryOut } from '../request-change.ts'

const summary = 'ends kill: pins and flags decide again'

export const revive: Command = {
  summary,
  help: changing({
    summary,
    usage: 'strangler revive [options]',
    examples: ['strangler revive --reason "the network is back"'],
    about: `
Pins and percentages are as they were before. The gateway that is asked also removes its own kill files,
kill and kill.all. Each other gateway keeps its kill files: ask it with --url, or remove them there.`,
  }),
  run: async (args) => {
    const { values } = parse(args, CHANGING, 0)
    return carryOut({ method: 'DELETE', path: PATHS.killSwitch }, values)
  },
}
