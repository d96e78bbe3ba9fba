// `strangler replay`: sends recorded requests to both sides and compares the answers, before live requests are shadowed.
import { constants } from 'node:os'
import { ConfigError } from '../../config/config-error.ts'
import { formatValue } from '../../config/mistake.ts'
import type { RecordingFormat, Replay, ReplayEnded, ReplayRequest } from '../../entry/replay.ts'
import { CliError } from '../client/cli-error.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { countNoun, escapeControls, formatJson } from '../format/print.ts'
import { showProgress } from '../format/progress.ts'
import { parse } from '../parse.ts'
import { argumentsFor, describeOptionNames, readOptions } from '../serve-options.ts'
import { UsageError } from '../usage-error.ts'

const FORMATS = ['har', 'access-log', 'nginx'] as const satisfies readonly RecordingFormat[]

export const replay: Command = {
  summary: 'sends recorded requests to both sides, and compares the answers',
  help: `strangler replay: sends recorded requests to both sides, and compares the answers

Usage: strangler replay FILE [options]

  strangler replay shop.har --context catalog --rate 50
  strangler replay access.log --report replay.md --json-report replay.json --fail-under 99.9

FILE is a HAR 1.2, an access log of this gateway, or an access log of nginx (combined). Its GET, HEAD and
OPTIONS requests are sent to legacy and to the service of their context, with X-Shadow: 1. Other requests
are never sent. The answers are compared by the rules of the route. Some requests are sent to legacy twice,
to measure noise.

  --context NAME          only requests of this context; may be repeated (default all)
  --rate N                the most requests per second to each side (default 20)
  --concurrency N         concurrent requests, 1 to 32 (default 8)
  --format NAME           har, access-log or nginx (default: detected)
  --host HOST             HAR: only requests to this host; may be repeated (default: the host of its first request)
                          log, which contains no host: the host of the requests (default localhost)
  --https                 log: clients used TLS, so X-Forwarded-Proto is https
  --keep-credentials      send recorded credentials (Cookie, Authorization and others), which are otherwise left out
  --report FILE           write the report as Markdown to FILE (default: standard output at the end)
  --json-report FILE      write the report as JSON to FILE
  --json                  print the report as JSON
  --fail-under PERCENT    exit 1 if less than PERCENT (0 to 99.99) of the comparisons match. Inconclusive comparisons, and
                          requests that the service did not answer, count as mismatches
  --state FILE            the progress of the run (default: the report or the recording, with .state)
  --fresh                 start again, and discard the state of an earlier run
${describeOptionNames(['config'])}

A run that was stopped or killed continues when the same command is repeated, and sends no request again.
It stops when a side fails 20 times in a row.

Exits 0 when the replay is complete; 1 below --fail-under, or if the config or FILE cannot be used; 2 as for
every command; 5 if a side does not answer; 130 or 143 if it was stopped. After 5, 130 and 143, repeat the
command to continue.
`,
  run: async (args) => {
    const { values, positionals } = parse(args, { ...argumentsFor(['config']), ...OPTIONS }, 1)
    const request = readReplayRequest(positionals[0], values)
    const { startReplay, UnusableRecording, BadReplayOption } = await import('../../entry/replay.ts')
    try {
      const replay = await startReplay(request)
      printStart(replay, request)
      return printEnd(await waitForEnd(replay), request, values.json === true)
    } catch (error) {
      if (error instanceof ConfigError) throw new CliError(EXIT.failed, error.message)
      if (error instanceof BadReplayOption) throw new UsageError(error.message)
      if (error instanceof UnusableRecording) throw new CliError(EXIT.failed, error.message)
      throw error
    }
  },
}

const TEXT = { type: 'string' } as const
const TEXTS = { type: 'string', multiple: true } as const
const SWITCH = { type: 'boolean' } as const

const OPTIONS = {
  context: TEXTS,
  host: TEXTS,
  rate: TEXT,
  concurrency: TEXT,
  format: TEXT,
  report: TEXT,
  'json-report': TEXT,
  'fail-under': TEXT,
  state: TEXT,
  https: SWITCH,
  'keep-credentials': SWITCH,
  json: SWITCH,
  fresh: SWITCH,
} as const

function readReplayRequest(file: string | undefined, values: Readonly<Record<string, unknown>>): ReplayRequest {
  if (file === undefined || file === '') throw new UsageError('give the file: strangler replay shop.har')
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
    failUnder: failUnder === undefined ? undefined : toShare(failUnder),
    report,
    jsonReport,
    state: text('state') ?? `${report ?? jsonReport ?? file}.state`,
    isFresh: values.fresh === true,
  }
}

/** Rounds, because 99.9 / 100 is slightly more than 0.999, and 999 of 1000 would not reach it. */
export function toShare(percent: number): number {
  return Math.round(percent * 1e6) / 1e8
}

function readFormat(text: string | undefined): RecordingFormat | undefined {
  if (text === undefined) return undefined
  const format = FORMATS.find((name) => name === text)
  if (format !== undefined) return format
  throw new UsageError(`--format: must be ${FORMATS.join(', ')} (found ${formatValue(text)})`)
}

function readNumber(name: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined
  const number = /^\d{1,9}(?:\.\d{1,9})?$/.test(text) ? Number(text) : Number.NaN
  if (number >= least && number <= most) return number
  throw new UsageError(`--${name}: must be a number from ${least} to ${most} (found ${formatValue(text)})`)
}

function readWhole(name: string, text: string | undefined, least: number, most: number): number | undefined {
  const number = readNumber(name, text, least, most)
  if (number === undefined || Number.isInteger(number)) return number
  throw new UsageError(`--${name}: must be a whole number (found ${formatValue(text)})`)
}

function printStart({ recording, hosts, destinations, resumedAfter }: Replay, { state }: ReplayRequest): void {
  const resumption =
    resumedAfter === undefined ? '' : `; continues after ${countNoun(resumedAfter, 'request')} (from ${state})`
  printMessage(`${recording.file} is ${NAMES[recording.format]}, of ${hosts.join(', ')}${resumption}`)
  printMessage(`sends to ${destinations.map(({ name, urls }) => `${name} at ${urls.join(' and ')}`).join(', ')}`)
}

const NAMES: Readonly<Record<RecordingFormat, string>> = {
  har: 'a HAR',
  'access-log': 'an access log of this gateway',
  nginx: 'an access log of nginx',
}

/** Waits until the replay ends or a signal stops it. A second signal exits at once; the state file is up to date by then. */
async function waitForEnd(replay: Replay): Promise<ReplayEnded | NodeJS.Signals> {
  const startedAt = performance.now()
  /** The share that an earlier run had done; undefined until this run continues there. */
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

/** The exit code that shells use for a process ended by a signal. */
function exitCodeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}

function printEnd(
  ended: ReplayEnded | NodeJS.Signals,
  { report: file, state }: ReplayRequest,
  isJson: boolean,
): number {
  if (typeof ended === 'string') {
    printMessage(`stopped; repeat the command to continue (from ${state})`)
    return exitCodeOf(ended)
  }
  if (ended.kind === 'stopped') return EXIT.failed
  if (ended.kind === 'down') {
    const { side, origin, reason } = ended
    printMessage(
      `${side} at ${origin} failed 20 times in a row, the last time with ${reason}; repeat the command to continue when it answers`,
    )
    return EXIT.unavailable
  }
  const { report, markdown } = ended
  if (isJson) process.stdout.write(`${formatJson(report, 2)}\n`)
  else if (file === undefined) process.stdout.write(markdown)
  const { gate, requests } = report
  printMessage(
    `${countNoun(requests.replayed, 'request')} replayed${gate === null ? '' : `; --fail-under is ${gate.isPassed ? 'passed' : 'failed'}`}`,
  )
  return gate === null || gate.isPassed ? EXIT.done : EXIT.failed
}

function printMessage(sentence: string): void {
  process.stderr.write(`strangler replay: ${escapeControls(sentence)}\n`)
}
