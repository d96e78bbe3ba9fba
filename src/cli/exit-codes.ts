// What the exit codes of commands that ask a gateway mean: for scripts, which act on them, and for the manual.

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notConverged: 3,
  conflict: 4,
  unavailable: 5,
} as const

export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

export const EXIT_MEANINGS: Readonly<Record<ExitCode, string>> = {
  0: 'done; a change is in force on every gateway',
  1: 'refused, or it failed: nothing was changed unless it says so',
  2: 'asked in a way that makes no sense: an argument, an unknown context, a missing reason',
  3: 'changed, but not in force everywhere yet: the gateways that lag are named',
  4: 'somebody else was quicker: who and what is said, nothing was changed',
  5: 'the gateway, its store or Unleash does not answer, or is too busy: try again',
}

/** The table for the manual. */
export function describeExitCodes(): string {
  return Object.entries(EXIT_MEANINGS)
    .map(([code, meaning]) => `  ${code}  ${meaning}`)
    .join('\n')
}
