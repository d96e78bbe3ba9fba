// The command line: finds the command, and turns whatever goes wrong into one sentence and an exit code.
import { check } from './commands/check.ts'
import { explain } from './commands/explain.ts'
import { serve } from './commands/serve.ts'
import { UsageError } from './usage-error.ts'
import { version } from './version.ts'

/** A command: what it is for, its manual, and what it does. Resolves to the exit code. */
export type Command = {
  readonly summary: string
  readonly help: string
  readonly run: (args: string[]) => Promise<number>
}

const COMMANDS: Readonly<Record<string, Command>> = { serve, check, explain }

const HELP = `strangler: the gateway that moves a monolith to services, one context at a time

Usage: strangler <command> [options]

${Object.entries(COMMANDS)
  .map(([name, { summary }]) => `  ${name.padEnd(10)}${summary}`)
  .join('\n')}
  help      shows this, or the manual of a command: strangler help serve
  version   prints the version

Options may also be given in the environment (STRANGLER_*); the command line wins.
`

/** Runs one command and sets the exit code: 0 done, 1 it went wrong, 2 it was asked in a way that makes no sense. */
export async function main(args: string[]): Promise<void> {
  const [name = 'help', ...rest] = args
  if (['help', '--help', '-h'].includes(name)) {
    process.stdout.write(COMMANDS[rest[0] ?? '']?.help ?? HELP)
    return
  }
  if (['version', '--version', '-v'].includes(name)) {
    process.stdout.write(`${version()}\n`)
    return
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) {
    process.stderr.write(`strangler: there is no command "${name}"; strangler help lists them\n`)
    process.exitCode = 2
    return
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(command.help)
    return
  }
  try {
    process.exitCode = await command.run(rest)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`strangler ${name}: ${error.message}\n`)
    process.exitCode = 2
  }
}
