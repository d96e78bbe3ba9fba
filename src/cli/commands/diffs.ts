// `strangler diffs`: lists the differences between the sides, and marks, resolves and exports them.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { differenceResponse, differencesResponse, exportedRequest } from '../../admin/contract/comparisons.ts'
import { formatValue } from '../../config/mistake.ts'
import { apiPath } from '../client/api-path.ts'
import { CHANGE_OPTIONS, createGatewayClient, printResponse, readArgument } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { differenceLines } from '../format/difference-lines.ts'
import { readDuration } from '../format/durations.ts'
import { exampleLines } from '../format/example-lines.ts'
import { escapeControls } from '../format/print.ts'
import { changeManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { requestChange } from '../request-change.ts'
import { UsageError } from '../usage-error.ts'
import { writeNewFile } from '../write-new-file.ts'

const summary = 'lists differences; marks them real, noise or resolved'

export const diffs: Command = {
  summary,
  help: changeManual({
    summary,
    usage: 'strangler diffs CONTEXT [--show FINGERPRINT] [options]',
    examples: [
      'strangler diffs catalog',
      'strangler diffs catalog --show 1f2e3d4c5b',
      'strangler diffs rule 1f2e3d4c5b noise --reason "banners rotate"',
      'strangler diffs resolve 1f2e3d4c5b --reason "fixed in 2.4.1"',
      'strangler diffs export 1f2e3d4c5b --as vitest --out price.test.ts',
    ],
    about: `
One row for each field of a route: how often the sides differ in it, with the 95 % interval, and how often
legacy differs from itself, which is noise. The line below is the newest example: the value of legacy → the
value of the service. A difference is real if it occurs more often than noise, and inconclusive until there
are enough comparisons. The fingerprint identifies a difference in these subcommands:

  rule FINGERPRINT real|noise|auto   sets the verdict, whatever the statistics say; auto removes the ruling
  resolve FINGERPRINT                marks it as fixed: it is listed last, and reopens when it occurs again
  export FINGERPRINT                 prints the request of an example, for sh and curl, or as a vitest test

Output and exports are masked. A masked value of a request becomes an environment variable. Keep a vitest
test in a folder of its own and run it with: npx vitest run --root FOLDER`,
    options: `  --show FINGERPRINT      one difference, with both answers of its newest example side by side
  --window DURATION       the period up to now, from 1h to 7d (default 24h); it begins on a whole hour, so 1h at
                          14:50 begins at 13:00
  --all                   also lists noise, which is otherwise one line
  --as curl|vitest        with export: command lines, or a test that fails until the difference is fixed (default curl)
  --out FILE              with export: a new file, instead of standard output`,
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, OPTIONS, 3)
    // A context may be named "rule": then nothing follows.
    const [subcommand] = positionals
    if (positionals.length > 1 && subcommand !== undefined && Object.hasOwn(SUBCOMMANDS, subcommand)) {
      return SUBCOMMANDS[subcommand as keyof typeof SUBCOMMANDS](positionals, values)
    }
    const context = readArgument(positionals, 0, 'the context: strangler diffs catalog')
    if (positionals.length > 1) throw new UsageError(`"${positionals[1]}" is one argument too many; see --help`)
    return values.show === undefined ? list(context, values) : showDifference(context, values.show, values)
  },
}

const OPTIONS = {
  ...CHANGE_OPTIONS,
  show: { type: 'string' },
  window: { type: 'string' },
  all: { type: 'boolean' },
  as: { type: 'string' },
  out: { type: 'string' },
} as const

type DiffsValues = ReturnType<typeof parse<typeof OPTIONS>>['values']
type Arguments = readonly string[]

async function list(context: string, values: DiffsValues): Promise<number> {
  refuseOtherOptions(values, ['window', 'all'])
  const path = apiPath(PATHS.differences, context, { window: readWindow(values) })
  const { body, raw } = await createGatewayClient(values).get(path, differencesResponse)
  const options = { now: Date.now(), hasNoise: values.all === true }
  printResponse(values, raw, (screen) => differenceLines(body, options, screen))
  return EXIT.done
}

async function showDifference(context: string, text: string, values: DiffsValues): Promise<number> {
  refuseOtherOptions(values, ['window', 'show'])
  const path = apiPath(PATHS.difference, readFingerprint(text), { window: readWindow(values) })
  const { body, raw } = await createGatewayClient(values).get(path, differenceResponse)
  const { difference } = body
  if (difference.context !== context) {
    throw new UsageError(
      `the difference belongs to ${escapeControls(difference.context)}: strangler diffs ${escapeControls(difference.context)} --show ${text}`,
    )
  }
  printResponse(values, raw, (screen) => exampleLines(body, Date.now(), screen))
  return EXIT.done
}

const SUBCOMMANDS = { rule, resolve, export: exportDifference } as const

async function rule(positionals: Arguments, values: DiffsValues): Promise<number> {
  refuseOtherOptions(values, [])
  const path = apiPath(PATHS.ruling, readFingerprint(positionals[1]))
  const verdict = readArgument(positionals, 2, 'the verdict: real, noise or auto')
  if (verdict === 'auto') return requestChange({ method: 'DELETE', path }, values)
  if (verdict === 'real' || verdict === 'noise')
    return requestChange({ method: 'PUT', path, body: { verdict } }, values)
  throw new UsageError(`the verdict must be real, noise or auto (found ${formatValue(verdict)})`)
}

async function resolve(positionals: Arguments, values: DiffsValues): Promise<number> {
  refuseOtherOptions(values, [])
  refuseExtraArguments(positionals)
  return requestChange({ method: 'PUT', path: apiPath(PATHS.resolution, readFingerprint(positionals[1])) }, values)
}

async function exportDifference(positionals: Arguments, values: DiffsValues): Promise<number> {
  refuseOtherOptions(values, ['as', 'out'])
  refuseExtraArguments(positionals)
  const { as = 'curl', out } = values
  if (as !== 'curl' && as !== 'vitest') throw new UsageError(`--as: must be curl or vitest (found ${formatValue(as)})`)
  const path = apiPath(PATHS.export, readFingerprint(positionals[1]), { as })
  const { body, raw } = await createGatewayClient(values).get(path, exportedRequest)
  // The server may be hostile: line ends are the only control characters that are printed.
  const text = body.text.split('\n').map(escapeControls).join('\n')
  if (out === undefined) printResponse(values, raw, () => text.trimEnd())
  else {
    await writeNewFile(out, text)
    printResponse(values, raw, () => `${escapeControls(out)} was written${variablesToSet(body.variables)}`)
  }
  return EXIT.done
}

function variablesToSet(variables: readonly string[]): string {
  return variables.length === 0
    ? ''
    : `; set the variables of the masked values: ${variables.map(escapeControls).join(', ')}`
}

function readWindow({ window }: DiffsValues): string | undefined {
  return window === undefined ? undefined : readDuration(window, '--window')
}

function readFingerprint(text: string | undefined): string {
  if (text !== undefined && /^[0-9a-f]{10}$/.test(text)) return text
  throw new UsageError(
    `a fingerprint has ten hexadecimal digits, as strangler diffs CONTEXT prints it (found ${formatValue(text)})`,
  )
}

function refuseExtraArguments(positionals: Arguments): void {
  if (positionals.length > 2) throw new UsageError(`"${positionals[2]}" is one argument too many; see --help`)
}

/** Refuses an option of another subcommand, which would have no effect. */
function refuseOtherOptions(values: DiffsValues, allowed: readonly (keyof DiffsValues)[]): void {
  const specific: readonly (keyof DiffsValues)[] = ['show', 'window', 'all', 'as', 'out']
  const unused = specific.find((name) => values[name] !== undefined && !allowed.includes(name))
  if (unused !== undefined) throw new UsageError(`--${unused} has no effect here; see --help`)
}
