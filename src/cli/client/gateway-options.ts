// The options, manual and output that all commands share which call a running gateway.
import { formatValue } from '../../config/mistake.ts'
import { CLIENT_OPTIONS } from '../../config/options/client-options.ts'
import { readClientEnv } from '../../config/options/env.ts'
import { formatJson, type Screen, stdoutScreen } from '../format/print.ts'
import { describeOptions } from '../serve-options.ts'
import { UsageError } from '../usage-error.ts'
import { Client } from './client.ts'
import { findGateway } from './resolve-gateway.ts'

/** `parseArgs` configuration of commands that only read. */
export const QUERY_OPTIONS = {
  url: { type: 'string' },
  token: { type: 'string' },
  profile: { type: 'string' },
  json: { type: 'boolean' },
  'no-color': { type: 'boolean' },
} as const

/** `parseArgs` configuration of commands that make a change. */
export const CHANGE_OPTIONS = {
  ...QUERY_OPTIONS,
  reason: { type: 'string' },
  'if-generation': { type: 'string' },
} as const

export type QueryValues = {
  readonly url?: string | undefined
  readonly token?: string | undefined
  readonly profile?: string | undefined
  readonly json?: boolean | undefined
  readonly 'no-color'?: boolean | undefined
}

export type ChangeValues = QueryValues & {
  readonly reason?: string | undefined
  readonly 'if-generation'?: string | undefined
}

export const QUERY_HELP = `${describeOptions([CLIENT_OPTIONS.url, CLIENT_OPTIONS.token, CLIENT_OPTIONS.profile])}
  --json                  the response of the API, unchanged
  --no-color              no colours in a terminal; NO_COLOR does the same`

export const CHANGE_HELP = `  --reason TEXT           the reason, for the audit log; required if CI is set or the gateway requires it
  --if-generation N       refuse, with 4, if it has changed since that generation (status --json; for kill and
                          revive, the generation of the whole state)
${QUERY_HELP}`

export function createGatewayClient(values: QueryValues): Client {
  return new Client(findGateway(values))
}

export function createScreen(values: QueryValues): Screen {
  return stdoutScreen(values['no-color'] !== true && readClientEnv().color)
}

/** Prints the unchanged JSON with `--json`, else the text that `format` returns. */
export function printResponse(values: QueryValues, raw: unknown, format: (screen: Screen) => string): void {
  process.stdout.write(`${values.json === true ? formatJson(raw, 2) : format(createScreen(values))}\n`)
}

/** @param request completes the sentence "give …" @throws {UsageError} if the argument is missing */
export function readArgument(positionals: readonly string[], index: number, request: string): string {
  const argument = positionals[index]
  if (argument === undefined || argument === '') throw new UsageError(`give ${request}`)
  return argument
}

const LONGEST_REASON = 500

/** @throws {UsageError} if a reason is required and missing, is empty or is too long */
export function readReason({ reason }: ChangeValues): string | null {
  const text = reason?.trim() ?? ''
  if (text.length > LONGEST_REASON) throw new UsageError(`--reason: at most ${LONGEST_REASON} characters`)
  if (text !== '') return text
  if (reason !== undefined) throw new UsageError('--reason: must not be empty')
  if (isUnattended()) throw new UsageError('give --reason TEXT: a reason is required because the variable CI is set')
  return null
}

function isUnattended(): boolean {
  return !['', '0', 'false'].includes(readClientEnv().written.ci?.toLowerCase() ?? '')
}

/** @throws {UsageError} if it is not a whole number */
export function readGeneration(values: ChangeValues): number | undefined {
  const text = values['if-generation']
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text))
    throw new UsageError(`--if-generation: must be a whole number (found ${formatValue(text)})`)
  return Number(text)
}
