// `strangler freeze`: protects a context from changes.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { apiPath } from '../client/api-path.ts'
import { CHANGE_OPTIONS, readArgument } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changeManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { requestChange } from '../request-change.ts'

const summary = 'refuses flip, pin and unpin of a context until thaw'

export const freeze: Command = {
  summary,
  help: changeManual({
    summary,
    usage: 'strangler freeze CONTEXT [options]',
    examples: ['strangler freeze catalog --reason "Black Friday"'],
    about: `
The gateways refuse flip, pin and unpin of the context. rollback and kill still work. shadow and rulings on
differences also work, because they move no requests.`,
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, CHANGE_OPTIONS, 1)
    const context = readArgument(positionals, 0, 'the context: strangler freeze catalog')
    return requestChange({ method: 'PUT', path: apiPath(PATHS.freeze, context) }, values)
  },
}
