// The only reader of process.env: variables by the names that the options have.
import { readFileSync } from 'node:fs'
import { formatValue, type Mistake, nearest } from '../mistake.ts'
import { CLIENT_OPTIONS, type WrittenClientOptions } from './client-options.ts'
import { OPTIONS, type OptionFacts, type RawOptions } from './option-table.ts'

export type Environment = {
  readonly written: RawOptions
  /** Variables that are nearly ours: a typing mistake would otherwise be a silent default. */
  readonly mistakes: readonly Mistake[]
}

/**
 * Reads every variable that the gateway knows. An empty one counts as not set, as containers often pass them so. A secret
 * may be in a file that a variable with `_FILE` behind its name gives the path of.
 */
export function readEnv(environment: NodeJS.ProcessEnv = process.env): Environment {
  const { written, mistakes } = readTable(environment, OPTIONS)
  return {
    written: isUnattended(environment) ? { requireReason: 'on', ...written } : written,
    mistakes: [...mistakes, ...unknownVariables(environment, OPTIONS)],
  }
}

/** Nobody would remember afterwards why something was changed here, or can be asked. */
function isUnattended({ NODE_ENV, CI }: NodeJS.ProcessEnv): boolean {
  return NODE_ENV === 'production' || !['', '0', 'false'].includes(CI?.toLowerCase() ?? '')
}

export type ClientEnvironment = {
  readonly written: WrittenClientOptions
  /** A gateway started here with the same variables is found, and its token. */
  readonly local: Pick<RawOptions, 'adminHost' | 'adminPort' | 'adminToken' | 'stateDir'>
  readonly color: boolean
  readonly mistakes: readonly Mistake[]
}

/**
 * Reads the options of a command that asks a gateway. Mistakes in the gateway's own variables are left for the gateway to
 * report.
 */
export function readClientEnv(environment: NodeJS.ProcessEnv = process.env): ClientEnvironment {
  const { adminHost, adminPort, adminToken, stateDir, noColor } = readTable(environment, OPTIONS).written
  const { written, mistakes } = readTable(environment, CLIENT_OPTIONS)
  return {
    written,
    local: { adminHost, adminPort, adminToken, stateDir },
    color: noColor === undefined,
    mistakes: [...mistakes, ...unknownVariables(environment, CLIENT_OPTIONS)],
  }
}

/** A variable that the map names; undefined where it is not set, or empty. */
export function readVariable(name: string): string | undefined {
  return process.env[name] || undefined
}

type Table = Readonly<Record<string, OptionFacts>>

type Read<Facts extends Table> = {
  readonly written: { readonly [Name in keyof Facts]?: string }
  readonly mistakes: readonly Mistake[]
}

function readTable<Facts extends Table>(environment: NodeJS.ProcessEnv, table: Facts): Read<Facts> {
  const written: { [Name in keyof Facts]?: string } = {}
  const mistakes: Mistake[] = []
  for (const [name, { variable, isSecret }] of Object.entries(table)) {
    const value = environment[variable] || (isSecret ? readSecretFile(environment, variable, mistakes) : undefined)
    if (value) written[name as keyof Facts] = value
    if (isSecret && environment[variable] && environment[fileVariable(variable)]) {
      const message = `is set, and ${variable} as well; set one of them`
      mistakes.push({ path: fileVariable(variable), found: '', message })
    }
  }
  return { written, mistakes }
}

function fileVariable(variable: string): string {
  return `${variable}_FILE`
}

/** The content of the file without the line end behind it, as `echo` and editors write one. */
function readSecretFile(environment: NodeJS.ProcessEnv, variable: string, mistakes: Mistake[]): string | undefined {
  const path = fileVariable(variable)
  const file = environment[path]
  if (!file) return undefined
  try {
    const secret = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
    if (secret === '')
      mistakes.push({ path, found: formatValue(file), message: 'names an empty file; write the secret into it' })
    return secret
  } catch (error) {
    mistakes.push({ path, found: formatValue(file), message: unreadable((error as NodeJS.ErrnoException).code) })
    return undefined
  }
}

function unreadable(code: string | undefined): string {
  if (code === 'ENOENT') return 'names a file that does not exist; create it, or correct the path'
  if (code === 'EACCES') return 'names a file that this user may not read; change its owner or permissions'
  return `names a file that cannot be read (${code ?? 'unknown reason'})`
}

const PREFIX = 'STRANGLER_'
const KNOWN: readonly string[] = [...Object.values(OPTIONS), ...Object.values(CLIENT_OPTIONS)].flatMap(
  ({ variable, isSecret }: OptionFacts) => (isSecret ? [variable, fileVariable(variable)] : [variable]),
)

/** Other names are left alone: Kubernetes makes STRANGLER_SERVICE_HOST and more for a Service named "strangler". */
function unknownVariables(environment: NodeJS.ProcessEnv, table: Table): Mistake[] {
  const ours = Object.values(table).map(({ variable }) => variable)
  const endings = ours.filter((name) => name.startsWith(PREFIX)).map((name) => name.slice(PREFIX.length))
  return Object.keys(environment).flatMap((name) => {
    if (!name.startsWith(PREFIX) || KNOWN.includes(name)) return []
    const meant = nearest(name.slice(PREFIX.length), endings)
    if (meant === undefined) return []
    return [{ path: name, found: '', message: `unknown variable; did you mean "${PREFIX}${meant}"?` }]
  })
}
