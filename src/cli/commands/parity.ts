// `strangler parity`: shows how well the answers of both sides match; also a gate for scripts.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { parityResponse } from '../../admin/contract/comparisons.ts'
import { formatValue, suggestName } from '../../config/mistake.ts'
import { withQuery } from '../client/api-path.ts'
import { createGatewayClient, printResponse, QUERY_OPTIONS } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { readDuration } from '../format/durations.ts'
import { formatPercent } from '../format/numbers.ts'
import { parityLines } from '../format/parity-lines.ts'
import { escapeControls } from '../format/print.ts'
import { queryManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { UsageError } from '../usage-error.ts'

const summary = 'shows how well the answers of both sides match'

export const parity: Command = {
  summary,
  help: queryManual({
    summary,
    usage: 'strangler parity [CONTEXT] [options]',
    examples: [
      'strangler parity',
      'strangler parity catalog --window 2h',
      'strangler parity catalog --fail-under 99.9',
    ],
    about: `
For each context, or each route of one context: the share of comparisons that match, without noise, with its
95 % interval; "at least", its lower bound if every inconclusive comparison is a mismatch; and how many more
comparisons must match, without a mismatch, until the lower bound is 99.9 %. Below: how the eligible
requests ended.`,
    options: `  --window DURATION       the period up to now, from 1h to 7d (default 24h); it begins on a whole hour, so 1h at
                          14:50 begins at 13:00
  --target PERCENT        the target, from 50 to 99.999 (default 99.9, or the value of --fail-under)
  --fail-under PERCENT    exit with 1 if "at least" is below this for any context in the output`,
  }),
  run: async (args) => {
    const options = {
      window: { type: 'string' },
      target: { type: 'string' },
      'fail-under': { type: 'string' },
    } as const
    const { values, positionals } = parse(args, { ...QUERY_OPTIONS, ...options }, 1)
    const { window, target, 'fail-under': failUnder } = values
    const gate = failUnder === undefined ? undefined : readPercent(failUnder, '--fail-under')
    const query = {
      window: window === undefined ? undefined : readDuration(window, '--window'),
      target: target === undefined ? gate : readPercent(target, '--target'),
    }
    const { body, raw } = await createGatewayClient(values).get(withQuery(PATHS.parity, query), parityResponse)
    const [context] = positionals
    const contexts = body.contexts.filter((parity) => context === undefined || parity.context === context)
    if (context !== undefined && contexts.length === 0) throw new UsageError(unknownContext(context, body.contexts))
    printResponse(values, raw, (screen) => parityLines(body, context, Date.now(), screen))
    return gate === undefined ? EXIT.done : applyGate(contexts, gate)
  },
}

function readPercent(text: string, option: string): number {
  const value = /^\d{1,2}(?:\.\d{1,3})?%?$/.test(text) ? Number.parseFloat(text) : Number.NaN
  if (value >= 50 && value <= 99.999) return value
  throw new UsageError(`${option}: must be a percentage from 50 to 99.999 (found ${formatValue(text)})`)
}

function unknownContext(context: string, contexts: readonly { readonly context: string }[]): string {
  const names = contexts.map((parity) => escapeControls(parity.context))
  return `there is no context ${JSON.stringify(escapeControls(context))}; ${suggestName(context, names)}`
}

/** The gate uses the lower bound, so that a context with few or no comparisons does not pass. */
function applyGate(contexts: readonly { readonly context: string; readonly atLeast: number }[], gate: number): number {
  const below = contexts.filter(({ atLeast }) => atLeast * 100 < gate)
  if (below.length === 0) return EXIT.done
  const list = below
    .map(({ context, atLeast }) => `${escapeControls(context)} (at least ${formatPercent(atLeast)} %)`)
    .join(', ')
  process.stderr.write(`strangler parity: below ${gate} %: ${list}\n`)
  return EXIT.failed
}
