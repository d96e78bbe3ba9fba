// `strangler revive`: turns the kill switch off.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { CHANGE_OPTIONS } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changeManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { requestChange } from '../request-change.ts'

const summary = 'turns the kill switch off: pins and flags decide again'

export const revive: Command = {
  summary,
  help: changeManual({
    summary,
    usage: 'strangler revive [options]',
    examples: ['strangler revive --reason "the network is back"'],
    about: `
Pins and percentages are as before the kill. The gateway that the command calls also removes its own kill
files, kill and kill.all. Each other gateway keeps its kill files: call it with --url, or remove them there.`,
  }),
  run: async (args) => {
    const { values } = parse(args, CHANGE_OPTIONS, 0)
    return requestChange({ method: 'DELETE', path: PATHS.killSwitch }, values)
  },
}
