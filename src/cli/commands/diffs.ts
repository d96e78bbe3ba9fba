// `strangler diffs`: what the two sides differ in, and what operators say of it.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { differenceResponse, differencesResponse, exportedRequest } from '../../admin/contract/comparisons.ts'
import { formatValue } from '../../config/mistake.ts'
import { pathOf } from '../client/api-path.ts'
import { CHANGING, clientFor, printAnswer, wordAt } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { differenceLines } from '../format/difference-lines.ts'
import { readDuration } from '../format/durations.ts'
import { exampleLines } from '../format/example-lines.ts'
import { plain } from '../format/print.ts'
import { changing } from '../manual.ts'
import { parse } from '../parse.ts'
import { carryOut } from '../request-change.ts'
import { UsageError } from '../usage-error.ts'
import { writeNew } from '../write-new-file.ts'

const summary = 'shows what the two sides differ in, and takes an operator’s word on it'

export const diffs: Command = {
  summary,
  help: changing({
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
A row for each field of a route: how often the sides differ in it, with the 95 % interval; how often
legacy differs from itself, which is noise; and below, what legacy said → what the service said, last.
Real is what differs more than noise does; inconclusive is what needs more comparisons. The fingerprint
names a difference to all of these:

  rule FINGERPRINT real|noise|auto   it is that, whatever the numbers say; auto leaves it to them again
  resolve FINGERPRINT                it was mended: it is listed last, and reopens by itself once it is seen
  export FINGERPRINT                 the request that showed it, for sh and curl, or as a test for vitest

What is shown and exported is masked. What was masked in a request is a variable of the environment. A
test for vitest is kept in a folder of its own and run with: npx vitest run --root FOLDER`,
    options: `  --show FINGERPRINT      one difference, with the newest example that was kept, side by side
  --window DURATION       how far back, from 1h to 7d (default 24h); it begins on a whole hour, so 1h at
                          14:50 is since 13:00
  --all                   noise too, which is one line otherwise
  --as curl|vitest        of export: command lines, or a test that fails until it is mended (default curl)
  --out FILE              of export: a file that is not there yet, instead of standard output`,
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, OPTIONS, 3)
    // A context may be called "rule": nobody says one word more after it.
    const [word] = positionals
    if (positionals.length > 1 && word !== undefined && Object.hasOwn(WORDS, word)) {
      return WORDS[word as keyof typeof WORDS](positionals, values)
    }
    const context = wordAt(positionals, 0, 'which context: strangler diffs catalog')
    if (positionals.length > 1)
      throw new UsageError(`"${positionals[1]}" is one word too many; --help shows what it takes`)
    return values.show === undefined ? list(context, values) : showOne(context, values.show, values)
  },
}

const OPTIONS = {
  ...CHANGING,
  show: { type: 'string' },
  window: { type: 'string' },
  all: { type: 'boolean' },
  as: { type: 'string' },
  out: { type: 'string' },
} as const

type Values = ReturnType<typeof parse<typeof OPTIONS>>['values']
type Words = readonly string[]

async function list(context: string, values: Values): Promise<number> {
  refuseOthers(values, ['window', 'all'])
  const path = pathOf(PATHS.differences, context, { window: windowIn(values) })
  const { body, said } = await clientFor(values).get(path, differencesResponse)
  const shown = { now: Date.now(), hasNoise: values.all === true }
  printAnswer(values, said, (on) => differenceLines(body, shown, on))
  return EXIT.done
}

async function showOne(context: string, text: string, values: Values): Promise<number> {
  refuseOthers(values, ['window', 'show'])
  const path = pathOf(PATHS.difference, readFingerprint(text), { window: windowIn(values) })
  const { body, said } = await clientFor(values).get(path, differenceResponse)
  const { difference } = body
  if (difference.context !== context) {
    throw new UsageError(
      `that is a difference of ${plain(difference.context)}: strangler diffs ${plain(difference.context)} --show ${text}`,
    )
  }
  printAnswer(values, said, (on) => exampleLines(body, Date.now(), on))
  return EXIT.done
}

const WORDS = { rule, resolve, export: exportOne } as const

async function rule(words: Words, values: Values): Promise<number> {
  refuseOthers(values, [])
  const path = pathOf(PATHS.ruling, readFingerprint(words[1]))
  const verdict = wordAt(words, 2, 'what it is: real, noise or auto')
  if (verdict === 'auto') return carryOut({ method: 'DELETE', path }, values)
  if (verdict === 'real' || verdict === 'noise') return carryOut({ method: 'PUT', path, body: { verdict } }, values)
  throw new UsageError(`a difference is real, noise or auto (found ${formatValue(verdict)})`)
}

async function resolve(words: Words, values: Values): Promise<number> {
  refuseOthers(values, [])
  refuseMore(words)
  return carryOut({ method: 'PUT', path: pathOf(PATHS.resolution, readFingerprint(words[1])) }, values)
}

async function exportOne(words: Words, values: Values): Promise<number> {
  refuseOthers(values, ['as', 'out'])
  refuseMore(words)
  const { as = 'curl', out } = values
  if (as !== 'curl' && as !== 'vitest') throw new UsageError(`--as: must be curl or vitest (found ${formatValue(as)})`)
  const path = pathOf(PATHS.export, readFingerprint(words[1]), { as })
  const { body, said } = await clientFor(values).get(path, exportedRequest)
  // Whoever answers may be no friend: line ends are the only controls that are let through.
  const text = body.text.split('\n').map(plain).join('\n')
  if (out === undefined) printAnswer(values, said, () => text.trimEnd())
  else {
    await writeNew(out, text)
    printAnswer(values, said, () => `${plain(out)} is written${stillToSet(body.variables)}`)
  }
  return EXIT.done
}

function stillToSet(variables: readonly string[]): string {
  return variables.length === 0 ? '' : `; what was masked is to be set: ${variables.map(plain).join(', ')}`
}

function windowIn({ window }: Values): string | undefined {
  return window === undefined ? undefined : readDuration(window, '--window')
}

function readFingerprint(text: string | undefined): string {
  if (text !== undefined && /^[0-9a-f]{10}$/.test(text)) return text
  throw new UsageError(
    `a fingerprint has ten hexadecimal digits, as strangler diffs CONTEXT shows it (found ${formatValue(text)})`,
  )
}

function refuseMore(words: Words): void {
  if (words.length > 2) throw new UsageError(`"${words[2]}" is one word too many; --help shows what it takes`)
}

/** Each of these options belongs to some of what diffs does; said elsewhere it would do nothing. */
function refuseOthers(values: Values, mine: readonly (keyof Values)[]): void {
  const own: readonly (keyof Values)[] = ['show', 'window', 'all', 'as', 'out']
  const idle = own.find((name) => values[name] !== undefined && !mine.includes(name))
  if (idle !== undefined) throw new UsageError(`--${idle} means nothing here; --help shows what it takes`)
}
