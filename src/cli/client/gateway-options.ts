// What every command shares that asks a running gateway: its options, its manual, and how it prints.
import { formatValue } from '../../config/mistake.ts'
import { CLIENT_OPTIONS } from '../../config/options/client-options.ts'
import { readClientEnv } from '../../config/options/env.ts'
import { json, type Screen, screen } from '../format/print.ts'
import { describeOptions } from '../serve-options.ts'
import { UsageError } from '../usage-error.ts'
import { type Client, createClient } from './client.ts'
import { whomToAsk } from './resolve-gateway.ts'

/** `parseArgs` configuration of commands that ask. */
export const ASKING = {
  url: { type: 'string' },
  token: { type: 'string' },
  profile: { type: 'string' },
  json: { type: 'boolean' },
  'no-color': { type: 'boolean' },
} as const

/** ... and of those that change something. */
export const CHANGING = {
  ...ASKING,
  reason: { type: 'string' },
  'if-generation': { type: 'string' },
} as const

export type AskingValues = {
  readonly url?: string | undefined
  readonly token?: string | undefined
  readonly profile?: string | undefined
  readonly json?: boolean | undefined
  readonly 'no-color'?: boolean | undefined
}

export type ChangingValues = AskingValues & {
  readonly reason?: string | undefined
  readonly 'if-generation'?: string | undefined
}

export const ASKING_HELP = `${describeOptions([CLIENT_OPTIONS.url, CLIENT_OPTIONS.token, CLIENT_OPTIONS.profile])}
  --json                  the gateway’s own answer, as its API documents it
  --no-color              no colours in a terminal; so does NO_COLOR`

export const CHANGING_HELP = `  --reason TEXT           why, for the audit log; must be said where CI is set or the gateway demands it
  --if-generation N       refuse, with 4, if it was changed since that generation (status --json; for kill and
                          revive that of the whole)
${ASKING_HELP}`

export function clientFor(values: AskingValues): Client {
  return createClient(whomToAsk(values))
}

export function screenFor(values: AskingValues): Screen {
  return screen(values['no-color'] !== true && readClientEnv().color)
}

/** What the gateway said as JSON where that is asked for, else as a person reads it. */
export function printAnswer(values: AskingValues, said: unknown, forPeople: (on: Screen) => string): void {
  process.stdout.write(`${values.json === true ? json(said, 2) : forPeople(screenFor(values))}\n`)
}

/** The word at a place, such as the context. @throws {UsageError} if it is missing */
export function wordAt(positionals: readonly string[], index: number, whatToSay: string): string {
  const word = positionals[index]
  if (word === undefined || word === '') throw new UsageError(`say ${whatToSay}`)
  return word
}

const LONGEST_REASON = 500

/** @throws {UsageError} if one must be said and is not */
export function readReason({ reason }: ChangingValues): string | null {
  const text = reason?.trim() ?? ''
  if (text.length > LONGEST_REASON) throw new UsageError(`--reason: at most ${LONGEST_REASON} characters`)
  if (text !== '') return text
  if (reason !== undefined) throw new UsageError('--reason: must not be empty')
  if (isUnattended())
    throw new UsageError('say why with --reason TEXT: the variable CI is set, and nobody can be asked')
  return null
}

function isUnattended(): boolean {
  return !['', '0', 'false'].includes(readClientEnv().written.ci?.toLowerCase() ?? '')
}

export function readGeneration(values: ChangingValues): number | undefined {
  const text = values['if-generation']
  if (text === undefined) return undefined
  if (!/^\d{1,15}$/.test(text))
    throw new UsageError(`--if-generation: must be a whole number (found ${formatValue(text)})`)
  return Number(text)
}
