// The options of a gateway, which serve, check, explain and replay read from the command line and the environment.
import type { ParseArgsOptionsConfig } from 'node:util'
import { formatMistakes } from '../config/mistake.ts'
import { readEnv } from '../config/options/env.ts'
import { OPTIONS, type OptionFacts, type OptionName, type RawOptions } from '../config/options/option-table.ts'
import { mergeOptions, type Options } from '../config/options/options.ts'
import { UsageError } from './usage-error.ts'

/** The names of options that the command line accepts. */
export const FLAG_OPTIONS = (Object.keys(OPTIONS) as OptionName[]).filter((name) => flagOf(name) !== undefined)

/** The names of options that are only in the environment. */
export const VARIABLE_OPTIONS = (Object.keys(OPTIONS) as OptionName[]).filter((name) => flagOf(name) === undefined)

/** `parseArgs` configuration for some of the options. */
export function argumentsFor(names: readonly OptionName[]): ParseArgsOptionsConfig {
  return Object.fromEntries(names.map((name) => [flagOf(name)?.slice(2) ?? name, { type: 'string' as const }]))
}

/** @throws {UsageError} with all mistakes in the command line and the environment */
export function readOptions(values: Readonly<Record<string, unknown>>): Options {
  const commandLine: RawOptions = Object.fromEntries(
    FLAG_OPTIONS.flatMap((name) => {
      const value = values[flagOf(name)?.slice(2) ?? name]
      return typeof value === 'string' ? [[name, value]] : []
    }),
  )
  const environment = readEnv()
  const merged = mergeOptions(commandLine, environment.written)
  if (!merged.ok || environment.mistakes.length > 0) {
    const mistakes = [...(merged.ok ? [] : merged.mistakes), ...environment.mistakes]
    throw new UsageError(`${mistakes.length === 1 ? '' : '\n'}${formatMistakes(mistakes)}`)
  }
  return merged.options
}

/** The lines of the help text for these options. */
export function describeOptionNames(names: readonly OptionName[]): string {
  return describeOptions(names.map((name) => OPTIONS[name]))
}

/** Columns; a default that does not fit has a line of its own. */
const MAX_LINE = 120

export function describeOptions(options: readonly OptionFacts[]): string {
  return options
    .map(({ flag, variable, isSecret, value, meaning, fallback }) => {
      const defaultText = fallback === undefined ? '' : `(default ${fallback})`
      const indent = ' '.repeat(26)
      const isLong = indent.length + meaning.length + 1 + defaultText.length > MAX_LINE
      const description = [meaning, defaultText].filter(Boolean).join(isLong ? `\n${indent}` : ' ')
      const orFile = isSecret ? `, or ${variable}_FILE` : ''
      if (flag === undefined) return `  ${variable}${orFile}\n${indent}${description}`
      return `  ${`${flag} ${value}`.padEnd(23)} ${description}\n${indent}${variable}${orFile}`
    })
    .join('\n')
}

function flagOf(name: OptionName): string | undefined {
  const facts: OptionFacts = OPTIONS[name]
  return facts.flag
}
