/** A command: what it is for, its manual, and what it does. Resolves to the exit code. */
export type Command = {
  readonly summary: string
  readonly help: string
  readonly run: (args: string[]) => Promise<number>
}
