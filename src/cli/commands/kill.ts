// `strangler kill`: sends all requests to legacy.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { CHANGE_OPTIONS } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { changeManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { requestChange } from '../request-change.ts'

const summary = 'sends all requests to legacy at once'

export const kill: Command = {
  summary,
  help: changeManual({
    summary,
    usage: 'strangler kill [options]',
    examples: ['strangler kill --reason "the new network is down"'],
    about: `
The kill switch overrides every pin and every flag, also of frozen and forward-only contexts. It stays on
until strangler revive. For one context, use strangler rollback.

While the store is unreachable, the kill switch applies only to the gateway that the command calls. For
each other gateway, create the file kill.all in its state directory, or send it SIGUSR2.`,
  }),
  run: async (args) => {
    const { values } = parse(args, CHANGE_OPTIONS, 0)
    return requestChange({ method: 'PUT', path: PATHS.killSwitch }, values)
  },
}
