import type { Mistake } from './mistake.ts'

/** The config cannot be used; every mistake in it is listed. */
export class ConfigError extends Error {
  readonly mistakes: readonly Mistake[]

  constructor(file: string, mistakes: readonly Mistake[]) {
    super(`${file}: ${mistakes.length} mistake${mistakes.length === 1 ? '' : 's'}`)
    this.mistakes = mistakes
  }
}
