// The command line: finds the command, and turns whatever goes wrong into one sentence and an exit code.
import { version } from '../entry/version.ts'
import { Trouble } from './client/cli-error.ts'
import type { Command } from './command.ts'
import { describeExitCodes, EXIT } from './exit-codes.ts'
import { json, plain } from './format/print.ts'
import { UsageError } from './usage-error.ts'

/** Each loads what it needs and no more: whoever asks a gateway at night does not wait for one to be loaded. */
export const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./commands/serve.ts')).serve,
  check: async () => (await import('./commands/check.ts')).check,
  explain: async () => (await import('./commands/explain.ts')).explain,
  replay: async () => (await import('./commands/replay.ts')).replay,
  status: async () => (await import('./commands/status.ts')).status,
  fleet: async () => (await import('./commands/fleet.ts')).fleet,
  history: async () => (await import('./commands/history.ts')).history,
  watch: async () => (await import('./commands/watch.ts')).watch,
  flip: async () => (await import('./commands/flip.ts')).flip,
  pin: async () => (await import('./commands/pin.ts')).pin,
  unpin: async () => (await import('./commands/unpin.ts')).unpin,
  rollback: async () => (await import('./commands/rollback.ts')).rollback,
  kill: async () => (await import('./commands/kill.ts')).kill,
  revive: async () => (await import('./commands/revive.ts')).revive,
  freeze: async () => (await import('./commands/freeze.ts')).freeze,
  thaw: async () => (await import('./commands/thaw.ts')).thaw,
  shadow: async () => (await import('./commands/shadow.ts')).shadow,
  parity: async () => (await import('./commands/parity.ts')).parity,
  diffs: async () => (await import('./commands/diffs.ts')).diffs,
}

/** Runs one command and sets the exit code: 0 done, 2 it was asked in a way that makes no sense, others as listed. */
export async function main(args: string[]): Promise<void> {
  const [name = 'help', ...rest] = args
  if (['help', '--help', '-h'].includes(name) && (rest[0] === undefined || isCommand(rest[0]))) return help(rest[0])
  if (['version', '--version', '-v'].includes(name)) return print(`${version()}\n`)
  const command = await load(name)
  if (command === undefined) {
    const asked = name === 'help' ? (rest[0] ?? '') : name
    const hint = asked.startsWith('-') ? '; options come after the command' : ''
    complain('', `there is no command "${plain(asked)}"${hint}; strangler help lists them`)
    process.exitCode = EXIT.usage
    return
  }
  if (rest.includes('--help') || rest.includes('-h')) return print(command.help)
  try {
    process.exitCode = await command.run(rest)
  } catch (error) {
    process.exitCode = report(name, error, rest.includes('--json'))
  }
}

async function load(name: string): Promise<Command | undefined> {
  return isCommand(name) ? COMMANDS[name]?.() : undefined
}

function isCommand(name: string): boolean {
  return Object.hasOwn(COMMANDS, name)
}

async function help(name: string | undefined): Promise<void> {
  const command = name === undefined ? undefined : await load(name)
  print(command?.help ?? (await manual()))
}

async function manual(): Promise<string> {
  const all = await Promise.all(
    Object.entries(COMMANDS).map(async ([name, load]) => `  ${name.padEnd(10)}${(await load()).summary}`),
  )
  return `strangler: the gateway that moves a monolith to services, one context at a time

Usage: strangler <command> [options]

${all.join('\n')}
  help      shows this, or the manual of a command: strangler help serve
  version   prints the version

Options may also be given in the environment (STRANGLER_*); the command line wins.

Exit codes of commands that ask a gateway:
${describeExitCodes()}
`
}

/** @returns the exit code */
function report(name: string, error: unknown, isJson: boolean): number {
  if (error instanceof UsageError) {
    complain(name, error.message)
    return EXIT.usage
  }
  if (!(error instanceof Trouble)) throw error
  if (isJson && error.answer !== undefined) print(`${json(error.answer, 2)}\n`)
  complain(name, error.message)
  return error.exitCode
}

function complain(name: string, sentence: string): void {
  process.stderr.write(`strangler${name === '' ? '' : ` ${name}`}: ${sentence}\n`)
}

function print(text: string): void {
  process.stdout.write(text)
}
