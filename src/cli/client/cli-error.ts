import type { ExitCode } from '../exit-codes.ts'

/** What kept a command from being carried out; the message says what happened and what to do. */
export class Trouble extends Error {
  readonly exitCode: ExitCode
  /** What the gateway answered, for `--json`; undefined where it did not. */
  readonly answer: unknown

  constructor(exitCode: ExitCode, message: string, answer?: unknown) {
    super(message)
    this.exitCode = exitCode
    this.answer = answer
  }
}
