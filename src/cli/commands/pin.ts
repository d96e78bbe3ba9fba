// `strangler pin`: sends all of a context to one side, for a while.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { formatValue } from '../../config/mistake.ts'
import { pathOf } from '../client/api-path.ts'
import { CHANGING, wordAt } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { readDuration } from '../format/durations.ts'
import { changing } from '../manual.ts'
import { parse } from '../parse.ts'
import { carryOut } from '../request-change.ts'
import { UsageError } from '../usage-error.ts'

const summary = 'sends all of a context to one side, for a while'

export const pin: Command = {
  summary,
  help: changing({
    summary,
    usage: 'strangler pin CONTEXT legacy|service --for DURATION [options]',
    examples: [
      'strangler pin catalog legacy --for 30m --reason "database of the service is moved"',
      'strangler pin catalog service --no-end',
    ],
    about: `
A pin stands above the flag, for everybody, and works while Unleash is down. It ends by itself, and
the flag decides again; strangler unpin ends it sooner. Pinning again replaces the pin.`,
    options: `  --for DURATION          how long: 90s, 30m, 2h, 1d; up to 365d
  --no-end                until strangler unpin`,
  }),
  run: async (args) => {
    const options = { ...CHANGING, for: { type: 'string' }, 'no-end': { type: 'boolean' } } as const
    const { values, positionals } = parse(args, options, 2)
    const context = wordAt(positionals, 0, 'what to pin: strangler pin catalog legacy --for 30m')
    const side = readSide(wordAt(positionals, 1, `to which side: strangler pin ${context} legacy --for 30m`))
    const body = { side, ...readEnd(values.for, values['no-end'] === true) }
    return carryOut({ method: 'PUT', path: pathOf(PATHS.pin, context), body }, values)
  },
}

function readSide(text: string): string {
  if (text === 'legacy' || text === 'service') return text
  throw new UsageError(`the side must be legacy or service (found ${formatValue(text)})`)
}

/** A pin that was forgotten is a migration that stands still: no end must be said. */
function readEnd(duration: string | undefined, isEndless: boolean): { for: string } | { noEnd: true } {
  if (duration !== undefined && isEndless) throw new UsageError('--for and --no-end exclude each other')
  if (duration !== undefined) return { for: readDuration(duration, '--for') }
  if (isEndless) return { noEnd: true }
  throw new UsageError('say for how long, such as --for 30m, or --no-end')
}
