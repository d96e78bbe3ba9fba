// The command line: runs a command, and reports an error as one sentence and an exit code.
import { version } from '../entry/version.ts'
import { CliError } from './client/cli-error.ts'
import type { Command } from './command.ts'
import { describeExitCodes, EXIT } from './exit-codes.ts'
import { escapeControls, formatJson } from './format/print.ts'
import { UsageError } from './usage-error.ts'

/** Each command is loaded when it runs, so that a command that calls a gateway starts without loading one. */
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

/** Runs one command and sets the exit code of the process, as `EXIT_MEANINGS` lists it. */
export async function main(args: string[]): Promise<void> {
  const [name = 'help', ...rest] = args
  if (['help', '--help', '-h'].includes(name) && (rest[0] === undefined || isCommand(rest[0]))) return help(rest[0])
  if (['version', '--version', '-v'].includes(name)) return print(`${version()}\n`)
  const command = await load(name)
  if (command === undefined) {
    const commandName = name === 'help' ? (rest[0] ?? '') : name
    const hint = commandName.startsWith('-') ? '; options come after the command' : ''
    printError('', `there is no command "${escapeControls(commandName)}"${hint}; strangler help lists them`)
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
  print(command?.help ?? (await overview()))
}

async function overview(): Promise<string> {
  const lines = await Promise.all(
    Object.entries(COMMANDS).map(async ([name, load]) => `  ${name.padEnd(10)}${(await load()).summary}`),
  )
  return `strangler: the gateway that moves a monolith to services, one context at a time

Usage: strangler <command> [options]

${lines.join('\n')}
  help      shows this page, or the manual of a command: strangler help serve
  version   prints the version

Options may also be set in the environment (STRANGLER_*). The command line takes precedence.

Exit codes of commands that call a gateway:
${describeExitCodes()}
`
}

/** @returns the exit code */
function report(name: string, error: unknown, isJson: boolean): number {
  if (error instanceof UsageError) {
    printError(name, error.message)
    return EXIT.usage
  }
  if (!(error instanceof CliError)) throw error
  if (isJson && error.answer !== undefined) print(`${formatJson(error.answer, 2)}\n`)
  printError(name, error.message)
  return error.exitCode
}

function printError(name: string, sentence: string): void {
  process.stderr.write(`strangler${name === '' ? '' : ` ${name}`}: ${sentence}\n`)
}

function print(text: string): void {
  process.stdout.write(text)
}
