// Prints the lines of each program with its name, in colour on a terminal.
import type { Program } from './programs.ts'
import { readableLine } from './readable-line.ts'

const NAME_WIDTH = 8
const BOLD = 1

export class Terminal {
  readonly #coloured: boolean

  constructor(env: NodeJS.ProcessEnv, isTerminal: boolean) {
    // https://no-color.org: any value except the empty one
    this.#coloured = isTerminal && !env.NO_COLOR && env.TERM !== 'dumb'
  }

  line(program: Program, line: string): void {
    const name = this.#paint(program.colour, program.name.padEnd(NAME_WIDTH))
    for (const text of readableLine(line).split('\n')) console.log(`${name} │ ${text}`)
  }

  showAddresses(programs: readonly Program[]): void {
    const lines = [...programs].reverse().map(({ name, colour, url, about }) => {
      return `  ${this.#paint(colour, name.padEnd(NAME_WIDTH))} ${url}  ${about}`
    })
    const next = 'Move a context: npx --no strangler flip catalog 10. Ctrl-C stops everything.'
    console.log(`\n${this.#paint(BOLD, 'The shop is open.')}\n${lines.join('\n')}\n${next}\n`)
  }

  say(sentence: string): void {
    console.log(this.#paint(BOLD, sentence))
  }

  complain(sentence: string): void {
    console.error(sentence)
  }

  #paint(code: number, text: string): string {
    return this.#coloured ? `\u001b[${code}m${text}\u001b[0m` : text
  }
}
