// The exit codes of commands that call a gateway, for scripts and for the manual.

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
  1: 'refused or failed; nothing was changed unless the message says so',
  2: 'invalid use: a wrong argument, an unknown context, a missing reason',
  3: 'changed, but not yet in force on every gateway; the output names the gateways that lag',
  4: 'another change came first; the message names it, and nothing was changed',
  5: 'the gateway, its store or Unleash does not answer, or is too busy; try again',
}

/** The table for the manual. */
export function describeExitCodes(): string {
  return Object.entries(EXIT_MEANINGS)
    .map(([code, meaning]) => `  ${code}  ${meaning}`)
    .join('\n')
}
