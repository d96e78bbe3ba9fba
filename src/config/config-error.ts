import { formatMistakes, type Mistake } from './mistake.ts'

/** The config cannot be used. The message lists the mistakes, one per line. */
export class ConfigError extends Error {
  readonly mistakes: readonly Mistake[]

  constructor(file: string, mistakes: readonly Mistake[]) {
    super(`${file}: ${mistakes.length} mistake${mistakes.length === 1 ? '' : 's'}\n${formatMistakes(mistakes)}`)
    this.mistakes = mistakes
  }
}
