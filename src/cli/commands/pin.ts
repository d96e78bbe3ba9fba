// `strangler pin`: sends all requests of a context to one side, for a time.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { formatValue } from '../../config/mistake.ts'
import { apiPath } from '../client/api-path.ts'
import { CHANGE_OPTIONS, readArgument } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { readDuration } from '../format/durations.ts'
import { changeManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { requestChange } from '../request-change.ts'
import { UsageError } from '../usage-error.ts'

const summary = 'sends all requests of a context to one side, for a time'

export const pin: Command = {
  summary,
  help: changeManual({
    summary,
    usage: 'strangler pin CONTEXT legacy|service --for DURATION [options]',
    examples: [
      'strangler pin catalog legacy --for 30m --reason "database migration of the service"',
      'strangler pin catalog service --no-end',
    ],
    about: `
A pin overrides the flag for all people, also while Unleash is down. When it ends, the flag decides
again; strangler unpin ends it early. A new pin replaces the old one.`,
    options: `  --for DURATION          how long: 90s, 30m, 2h, 1d; up to 365d
  --no-end                until strangler unpin`,
  }),
  run: async (args) => {
    const options = { ...CHANGE_OPTIONS, for: { type: 'string' }, 'no-end': { type: 'boolean' } } as const
    const { values, positionals } = parse(args, options, 2)
    const context = readArgument(positionals, 0, 'the context: strangler pin catalog legacy --for 30m')
    const side = readSide(readArgument(positionals, 1, `the side: strangler pin ${context} legacy --for 30m`))
    const body = { side, ...readEnd(values.for, values['no-end'] === true) }
    return requestChange({ method: 'PUT', path: apiPath(PATHS.pin, context), body }, values)
  },
}

function readSide(text: string): string {
  if (text === 'legacy' || text === 'service') return text
  throw new UsageError(`the side must be legacy or service (found ${formatValue(text)})`)
}

/** A pin without an end must be requested explicitly, because a forgotten pin stops the migration. */
function readEnd(duration: string | undefined, isEndless: boolean): { for: string } | { noEnd: true } {
  if (duration !== undefined && isEndless) throw new UsageError('--for and --no-end exclude each other')
  if (duration !== undefined) return { for: readDuration(duration, '--for') }
  if (isEndless) return { noEnd: true }
  throw new UsageError('give the duration, such as --for 30m, or --no-end')
}
