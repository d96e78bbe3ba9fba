// Parses the arguments of a command strictly: an unknown option is a mistake.
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { UsageError } from './usage-error.ts'

/** @param positionals the largest number of positional arguments @throws {UsageError} with the mistake in the arguments */
export function parse<const O extends ParseArgsOptionsConfig>(args: string[], options: O, positionals: number) {
  try {
    const parsed = parseArgs({ args, options, allowPositionals: true, strict: true })
    if (parsed.positionals.length > positionals) {
      throw new UsageError(`"${parsed.positionals[positionals]}" is one argument too many; see --help`)
    }
    return parsed
  } catch (error) {
    if (error instanceof UsageError) throw error
    const [sentence = 'the options are not valid'] = (error as Error).message.split(/\. |\n/)
    throw new UsageError(`${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}; see --help`)
  }
}
