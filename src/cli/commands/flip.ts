// `strangler flip`: sets the percentage of a context.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { apiPath } from '../client/api-path.ts'
import { CHANGE_OPTIONS, readArgument } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changeManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { readPercentage } from '../read-percentage.ts'
import { requestChange } from '../request-change.ts'

const summary = 'sets the percentage of a context'

export const flip: Command = {
  summary,
  help: changeManual({
    summary,
    usage: 'strangler flip CONTEXT PERCENT [options]',
    examples: ['strangler flip catalog 25 --reason "week two"', 'strangler flip catalog 0'],
    about: `
Writes the flag of the context, in the embedded flags or in Unleash; every gateway reads it at once. The
command ends when all gateways have applied it, or names the gateways that have not. PERCENT is a whole
number from 0 to 100. It is a share of people and not of requests: the people whom the service answers at
10 % stay with the service at 25 %.

A pin or the kill switch overrides the percentage, which takes effect when they end.`,
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, CHANGE_OPTIONS, 2)
    const context = readArgument(positionals, 0, 'the context: strangler flip catalog 25')
    const percentage = readPercentage(readArgument(positionals, 1, `the percentage: strangler flip ${context} 25`))
    return requestChange({ method: 'PUT', path: apiPath(PATHS.flag, context), body: { percentage } }, values)
  },
}
