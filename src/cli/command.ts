/** A command of the command line. `run` resolves to the exit code. */
export type Command = {
  readonly summary: string
  readonly help: string
  readonly run: (args: string[]) => Promise<number>
}
