// `strangler thaw`: ends the freeze of a context.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { apiPath } from '../client/api-path.ts'
import { CHANGE_OPTIONS, readArgument } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changeManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { requestChange } from '../request-change.ts'

const summary = 'allows flip, pin and unpin of a frozen context again'

export const thaw: Command = {
  summary,
  help: changeManual({
    summary,
    usage: 'strangler thaw CONTEXT [options]',
    examples: ['strangler thaw catalog'],
    about: 'No requests move: pin and percentage stay as they are.',
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, CHANGE_OPTIONS, 1)
    const context = readArgument(positionals, 0, 'the context: strangler thaw catalog')
    return requestChange({ method: 'DELETE', path: apiPath(PATHS.freeze, context) }, values)
  },
}
