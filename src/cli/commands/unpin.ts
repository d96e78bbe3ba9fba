// `strangler unpin`: removes the pin of a context.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { apiPath } from '../client/api-path.ts'
import { CHANGE_OPTIONS, readArgument } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changeManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { requestChange } from '../request-change.ts'

const summary = 'removes the pin of a context: its flag decides again'

export const unpin: Command = {
  summary,
  help: changeManual({
    summary,
    usage: 'strangler unpin CONTEXT [options]',
    examples: ['strangler unpin catalog'],
    about: `After a rollback the percentage is 0, so no requests move to the service, unless the flag could not be
written: the output contains the percentage that is in force now.`,
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, CHANGE_OPTIONS, 1)
    const context = readArgument(positionals, 0, 'the context: strangler unpin catalog')
    return requestChange({ method: 'DELETE', path: apiPath(PATHS.pin, context) }, values)
  },
}
