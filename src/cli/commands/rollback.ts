// `strangler rollback`: sends all requests of a context to legacy.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { apiPath } from '../client/api-path.ts'
import { CHANGE_OPTIONS, readArgument } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changeManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { requestChange } from '../request-change.ts'

const summary = 'sends all requests of a context to legacy at once'

export const rollback: Command = {
  summary,
  help: changeManual({
    summary,
    usage: 'strangler rollback CONTEXT [--force] [options]',
    examples: ['strangler rollback catalog --reason "prices are wrong"'],
    about: `
For incidents. Pins the context to legacy without end, for all people, whatever its flag says. The flag is
set to 0 as soon as it can be written, so that no requests move when the pin is removed. Works while
Unleash is down, and for a frozen context. When the service is fixed: strangler unpin, then flip.

A context that the config marks forward-only is not rolled back: legacy may be unable to read the data
that the service has written.`,
    options: '  --force                 also roll back a forward-only context; requires the role admin',
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, { ...CHANGE_OPTIONS, force: { type: 'boolean' } }, 1)
    const context = readArgument(positionals, 0, 'the context: strangler rollback catalog')
    const body = values.force === true ? { force: true } : {}
    return requestChange({ method: 'POST', path: apiPath(PATHS.rollback, context), body }, values)
  },
}
