// The manual of a command: the same parts in the same order for all commands.
import { CHANGE_HELP, QUERY_HELP } from './client/gateway-options.ts'
import { describeExitCodes } from './exit-codes.ts'

type Manual = {
  readonly summary: string
  readonly usage: string
  /** The purpose of the command and the facts to know before using it; lines of at most 110 characters. */
  readonly about: string
  readonly examples: readonly string[]
  /** Lines for the options that only this command has. */
  readonly options?: string
}

export function changeManual(manual: Manual): string {
  return writeManual(manual, CHANGE_HELP)
}

export function queryManual(manual: Manual): string {
  return writeManual(manual, QUERY_HELP)
}

function writeManual({ summary, usage, about, examples, options }: Manual, shared: string): string {
  const [, name] = usage.split(' ')
  return `strangler ${name}: ${summary}

Usage: ${usage}

${examples.map((example) => `  ${example}`).join('\n')}

${about.trim()}

${options === undefined ? '' : `${options}\n`}${shared}

Exit codes:
${describeExitCodes()}
`
}
