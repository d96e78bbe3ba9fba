// A command's manual: every one has the same parts in the same order.
import { ASKING_HELP, CHANGING_HELP } from './client/gateway-options.ts'
import { describeExitCodes } from './exit-codes.ts'

export type Manual = {
  readonly summary: string
  readonly usage: string
  /** What the command is for and what to know before it is used; lines of at most 100 characters. */
  readonly about: string
  readonly examples: readonly string[]
  /** Lines for the options that this command alone has. */
  readonly options?: string
}

export function changing(manual: Manual): string {
  return write(manual, CHANGING_HELP)
}

export function asking(manual: Manual): string {
  return write(manual, ASKING_HELP)
}

function write({ summary, usage, about, examples, options }: Manual, shared: string): string {
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
