// Options of a command, strictly: an unknown one is a mistake with a sentence, not silence.
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { UsageError } from './usage-error.ts'

export function parse<const O extends ParseArgsOptionsConfig>(args: string[], options: O, positionals: number) {
  try {
    const parsed = parseArgs({ args, options, allowPositionals: true, strict: true })
    if (parsed.positionals.length > positionals) {
      throw new UsageError(`"${parsed.positionals[positionals]}" is one word too many; --help shows what it takes`)
    }
    return parsed
  } catch (error) {
    if (error instanceof UsageError) throw error
    const [sentence = 'the options make no sense'] = (error as Error).message.split(/\. |\n/)
    throw new UsageError(`${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}; --help shows what it takes`)
  }
}
