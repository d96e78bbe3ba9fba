// `strangler replay`: recorded requests, asked of both sides and compared, before the first real one is shadowed.
import { constants } from 'node:os'
import { ConfigError } from '../../config/config-error.ts'
import { formatValue } from '../../config/mistake.ts'
import type { Format, Replay, ReplayEnded, ReplayRequest } from '../../entry/replay.ts'
import { Trouble } from '../client/cli-error.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { count, json, plain } from '../format/print.ts'
import { showProgress } from '../format/progress.ts'
import { parse } from '../parse.ts'
import { argumentsFor, describe, readOptions } from '../serve-options.ts'
import { UsageError } from '../usage-error.ts'

const FORMATS = ['har', 'access-log', 'nginx'] as const satisfies readonly Format[]

export const replay: Command = {
  summary: 'asks both sides what was recorded, and compares the answers',
  help: `strangler replay: asks both sides what was recorded, and compares the answers

Usage: strangler replay FILE [options]

  strangler replay shop.har --context catalog --rate 50
  strangler replay access.log --report replay.md --json-report replay.json --fail-under 99.9

FILE is a HAR 1.2, this gateway's own access log, or nginx's (combined). Its GET, HEAD and OPTIONS
requests are sent to legacy and to the service of their context, marked X-Shadow: 1; nothing else of it
is ever sent. The answers are compared by the rules of the route, and legacy is asked twice now and then
to learn what is noise.

  --context NAME          only requests of this context; may be repeated (default all)
  --rate N                requests a second to each side, at most (default 20)
  --concurrency N         requests under way at once, 1 to 32 (default 8)
  --format NAME           har, access-log or nginx (default by content)
  --host HOST             of a HAR: only requests to this host; may be repeated (default that of its first)
                          of a log, which has none: the host that is asked (default localhost)
  --https                 of a log: clients came over TLS, and X-Forwarded-Proto says so
  --keep-credentials      send Cookie, Authorization and the like as they were recorded; they are left out
  --report FILE           the report in Markdown (default standard output, in the end)
  --json-report FILE      the report as JSON
  --json                  the report on standard output is the one as JSON
  --fail-under PERCENT    exit 1 if fewer match: up to 99.99; what is inconclusive, and what the service did
                          not answer, counts against it
  --state FILE            how far the run is (default FILE of the report, else the recording, with .state)
  --fresh                 start anew, whatever an earlier run has left
${describe(['config'])}

A run that was stopped, or killed, goes on where it was when the same is asked again, and asks nothing
twice. It stops by itself when a side fails 20 times in a row.

Exits 0 when all was replayed; 1 below --fail-under, and if the config or FILE cannot be used; 2 as for
every command; 5 if a side does not answer, 130 or 143 if it was stopped: ask the same again to go on.
`,
  run: async (args) => {
    const { values, positionals } = parse(args, { ...argumentsFor(['config']), ...OPTIONS }, 1)
    const asked = readAsked(positionals[0], values)
    const { startReplay, Unusable, Misasked } = await import('../../entry/replay.ts')
    try {
      const replay = await startReplay(asked)
      tellBeginning(replay, asked)
      return tellEnd(await follow(replay), asked, values.json === true)
    } catch (error) {
      if (error instanceof ConfigError) throw new Trouble(EXIT.failed, error.message)
      if (error instanceof Misasked) throw new UsageError(error.message)
      if (error instanceof Unusable) throw new Trouble(EXIT.failed, error.message)
      throw error
    }
  },
}

const TEXT = { type: 'string' } as const
const TEXTS = { type: 'string', multiple: true } as const
const SWITCH = { type: 'boolean' } as const

const OPTIONS = {
  ...{ context: TEXTS, host: TEXTS },
  ...{
    rate: TEXT,
    concurrency: TEXT,
    format: TEXT,
    report: TEXT,
    'json-report': TEXT,
    'fail-under': TEXT,
    state: TEXT,
  },
  ...{ https: SWITCH, 'keep-credentials': SWITCH, json: SWITCH, fresh: SWITCH },
} as const

function readAsked(file: string | undefined, values: Readonly<Record<string, unknown>>): ReplayRequest {
  if (file === undefined || file === '') throw new UsageError('say which file: strangler replay shop.har')
  const text = (name: string) => values[name] as string | undefined
  const texts = (name: string) => (values[name] ?? []) as readonly string[]
  const failUnder = readNumber('fail-under', text('fail-under'), 0, 99.99)
  const report = text('report')
  const jsonReport = text('json-report')
  return {
    config: readOptions(values).config,
    file,
    format: readFormat(text('format')),
    contexts: texts('context'),
    hosts: texts('host'),
    https: values.https === true,
    keepCredentials: values['keep-credentials'] === true,
    rate: readNumber('rate', text('rate'), 0.1, 1000) ?? 20,
    concurrency: readWhole('concurrency', text('concurrency'), 1, 32) ?? 8,
    failUnder: failUnder === undefined ? undefined : shareOf(failUnder),
    report,
    jsonReport,
    state: text('state') ?? `${report ?? jsonReport ?? file}.state`,
    isFresh: values.fresh === true,
  }
}

/** 99.9 is 0.999, and not the double above it, which 999 of 1000 would not reach. */
export function shareOf(percent: number): number {
  return Math.round(percent * 1e6) / 1e8
}

function readFormat(written: string | undefined): Format | undefined {
  if (written === undefined) return undefined
  const found = FORMATS.find((name) => name === written)
  if (found !== undefined) return found
  throw new UsageError(`--format: must be ${FORMATS.join(', ')} (found ${formatValue(written)})`)
}

function readNumber(name: string, written: string | undefined, least: number, most: number): number | undefined {
  if (written === undefined) return undefined
  const number = /^\d{1,9}(?:\.\d{1,9})?$/.test(written) ? Number(written) : Number.NaN
  if (number >= least && number <= most) return number
  throw new UsageError(`--${name}: must be a number from ${least} to ${most} (found ${formatValue(written)})`)
}

function readWhole(name: string, written: string | undefined, least: number, most: number): number | undefined {
  const number = readNumber(name, written, least, most)
  if (number === undefined || Number.isInteger(number)) return number
  throw new UsageError(`--${name}: must be a whole number (found ${formatValue(written)})`)
}

function tellBeginning({ recording, hosts, asks, goesOnAfter }: Replay, { state }: ReplayRequest): void {
  const before = goesOnAfter === undefined ? '' : `; goes on after ${count(goesOnAfter, 'request')}, as ${state} says`
  say(`${recording.file} is ${NAMES[recording.format]}, of ${hosts.join(', ')}${before}`)
  say(`asks ${asks.map(({ name, urls }) => `${name} at ${urls.join(' and ')}`).join(', ')}`)
}

const NAMES: Readonly<Record<Format, string>> = {
  har: 'a HAR',
  'access-log': 'an access log of this gateway',
  nginx: 'an access log of nginx',
}

/** Until it ends, or is stopped by a signal; a second one ends it at once, and nothing is lost by that. */
async function follow(replay: Replay): Promise<ReplayEnded | NodeJS.Signals> {
  const startedAt = performance.now()
  /** Where the run went on, as soon as it has got there. */
  let shareAtStart: number | undefined
  const endProgress = showProgress(() => {
    const now = replay.now()
    if (now.share > 0) shareAtStart ??= now.share
    return { ...now, shareAtStart: shareAtStart ?? 0, elapsedMs: performance.now() - startedAt }
  })
  let stoppedBy: NodeJS.Signals | undefined
  const stop = (signal: NodeJS.Signals) => {
    if (stoppedBy !== undefined) process.exit(exitCodeOf(signal))
    stoppedBy = signal
    replay.stop()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  try {
    const ended = await replay.ended
    return ended.kind === 'stopped' && stoppedBy !== undefined ? stoppedBy : ended
  } finally {
    endProgress()
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}

/** As a shell says that a signal ended it. */
function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}

function tellEnd(ended: ReplayEnded | NodeJS.Signals, { report: file, state }: ReplayRequest, isJson: boolean): number {
  if (typeof ended === 'string') {
    say(`stopped; ask the same again to go on, as ${state} says`)
    return exitCodeOf(ended)
  }
  if (ended.kind === 'stopped') return EXIT.failed
  if (ended.kind === 'down') {
    const { side, origin, reason } = ended
    say(
      `${side} at ${origin} failed 20 times in a row, the last time ${reason}; when it answers, ask the same again to go on`,
    )
    return EXIT.unavailable
  }
  const { report, markdown } = ended
  if (isJson) process.stdout.write(`${json(report, 2)}\n`)
  else if (file === undefined) process.stdout.write(markdown)
  const { gate, requests } = report
  say(
    `${count(requests.replayed, 'request')} replayed${gate === null ? '' : `; --fail-under is ${gate.isPassed ? 'passed' : 'failed'}`}`,
  )
  return gate === null || gate.isPassed ? EXIT.done : EXIT.failed
}

function say(sentence: string): void {
  process.stderr.write(`strangler replay: ${plain(sentence)}\n`)
}
