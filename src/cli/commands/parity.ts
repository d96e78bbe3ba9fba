// `strangler parity`: how alike the sides answer; also a gate for scripts.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { parityResponse } from '../../admin/contract/comparisons.ts'
import { formatValue, suggestName } from '../../config/mistake.ts'
import { withQuery } from '../client/api-path.ts'
import { ASKING, clientFor, printAnswer } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { readDuration } from '../format/durations.ts'
import { percent } from '../format/numbers.ts'
import { parityLines } from '../format/parity-lines.ts'
import { plain } from '../format/print.ts'
import { asking } from '../manual.ts'
import { parse } from '../parse.ts'
import { UsageError } from '../usage-error.ts'

const summary = 'shows how alike the two sides answer, and how sure that is'

export const parity: Command = {
  summary,
  help: asking({
    summary,
    usage: 'strangler parity [CONTEXT] [options]',
    examples: [
      'strangler parity',
      'strangler parity catalog --window 2h',
      'strangler parity catalog --fail-under 99.9',
    ],
    about: `
Of each context, or of each route of one: the share of comparisons that match, noise set aside, with its
95 % interval; the least that it is if all that is inconclusive is wrong; and how many more must match,
with none that does not, until that is 99.9 %. Below: where each eligible request is.`,
    options: `  --window DURATION       how far back, from 1h to 7d (default 24h); it begins on a whole hour, so 1h at
                          14:50 is since 13:00
  --target PERCENT        what is to be reached, from 50 to 99.999 (default 99.9, or that of --fail-under)
  --fail-under PERCENT    exit with 1 where "at least" is below this, for any context that is shown`,
  }),
  run: async (args) => {
    const options = {
      window: { type: 'string' },
      target: { type: 'string' },
      'fail-under': { type: 'string' },
    } as const
    const { values, positionals } = parse(args, { ...ASKING, ...options }, 1)
    const { window, target, 'fail-under': under } = values
    const gate = under === undefined ? undefined : readPercent(under, '--fail-under')
    const query = {
      window: window === undefined ? undefined : readDuration(window, '--window'),
      target: target === undefined ? gate : readPercent(target, '--target'),
    }
    const { body, said } = await clientFor(values).get(withQuery(PATHS.parity, query), parityResponse)
    const [context] = positionals
    const shown = body.contexts.filter((one) => context === undefined || one.context === context)
    if (context !== undefined && shown.length === 0) throw new UsageError(unknown(context, body.contexts))
    printAnswer(values, said, (on) => parityLines(body, context, Date.now(), on))
    return gate === undefined ? EXIT.done : judged(shown, gate)
  },
}

function readPercent(text: string, option: string): number {
  const value = /^\d{1,2}(?:\.\d{1,3})?%?$/.test(text) ? Number.parseFloat(text) : Number.NaN
  if (value >= 50 && value <= 99.999) return value
  throw new UsageError(`${option}: must be a percentage from 50 to 99.999 (found ${formatValue(text)})`)
}

function unknown(context: string, contexts: readonly { readonly context: string }[]): string {
  const known = contexts.map((one) => plain(one.context))
  return `there is no context ${JSON.stringify(plain(context))}; ${suggestName(context, known)}`
}

/** A gate goes by the lower bound: a context of which little is known does not pass, and one of which nothing is neither. */
function judged(contexts: readonly { readonly context: string; readonly atLeast: number }[], gate: number): number {
  const below = contexts.filter(({ atLeast }) => atLeast * 100 < gate)
  if (below.length === 0) return EXIT.done
  const who = below.map(({ context, atLeast }) => `${plain(context)} (at least ${percent(atLeast)} %)`).join(', ')
  process.stderr.write(`strangler parity: below ${gate} %: ${who}\n`)
  return EXIT.failed
}
