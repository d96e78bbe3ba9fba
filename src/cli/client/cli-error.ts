import type { ExitCode } from '../exit-codes.ts'

/** A command failed. The message contains what happened, to which object, and what to do next. */
export class CliError extends Error {
  readonly exitCode: ExitCode
  /** The problem document of the gateway, for `--json`; undefined if there was no answer. */
  readonly answer: unknown

  constructor(exitCode: ExitCode, message: string, answer?: unknown) {
    super(message)
    this.exitCode = exitCode
    this.answer = answer
  }
}
