// The only module that reads process.env.
import { readFileSync } from 'node:fs'
import { findNearest, formatValue, type Mistake } from '../mistake.ts'
import { CLIENT_OPTIONS, type WrittenClientOptions } from './client-options.ts'
import { OPTIONS, type OptionFacts, type RawOptions } from './option-table.ts'

type Environment = {
  readonly written: RawOptions
  /** Unknown variables whose names resemble ours: a typing mistake would silently apply a default. */
  readonly mistakes: readonly Mistake[]
}

/**
 * Reads the variables of the gateway's options. An empty variable counts as not set: containers often pass empty variables. The
 * variable of a secret with the suffix `_FILE` may contain the path of a file with the secret.
 */
export function readEnv(environment: NodeJS.ProcessEnv = process.env): Environment {
  const { written, mistakes } = readTable(environment, OPTIONS)
  return {
    written: isUnattended(environment) ? { requireReason: 'on', ...written } : written,
    mistakes: [...mistakes, ...unknownVariables(environment, OPTIONS)],
  }
}

/** Whether a change is probably made by a program, or in production: such a change needs a reason. */
function isUnattended({ NODE_ENV, CI }: NodeJS.ProcessEnv): boolean {
  return NODE_ENV === 'production' || !['', '0', 'false'].includes(CI?.toLowerCase() ?? '')
}

export type ClientEnvironment = {
  readonly written: WrittenClientOptions
  /** The variables that locate a gateway on this machine, and its token. */
  readonly local: Pick<RawOptions, 'adminHost' | 'adminPort' | 'adminToken' | 'stateDir'>
  readonly color: boolean
  readonly mistakes: readonly Mistake[]
}

/**
 * Reads the variables of a command that calls a gateway. It does not report mistakes in variables of the gateway, which does so
 * itself.
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

/** Reads a variable that the map refers to; undefined if it is not set or empty. */
export function readVariable(name: string): string | undefined {
  return process.env[name] || undefined
}

type Table = Readonly<Record<string, OptionFacts>>

type TableValues<Facts extends Table> = {
  readonly written: { readonly [Name in keyof Facts]?: string }
  readonly mistakes: readonly Mistake[]
}

function readTable<Facts extends Table>(environment: NodeJS.ProcessEnv, table: Facts): TableValues<Facts> {
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

/** Reads the secret from its file, without a final line end: `echo` and editors add one. */
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
    mistakes.push({ path, found: formatValue(file), message: explainReadError((error as NodeJS.ErrnoException).code) })
    return undefined
  }
}

function explainReadError(code: string | undefined): string {
  if (code === 'ENOENT') return 'names a file that does not exist; create it, or correct the path'
  if (code === 'EACCES') return 'names a file that this user may not read; change its owner or permissions'
  return `names a file that cannot be read (${code ?? 'unknown reason'})`
}

const PREFIX = 'STRANGLER_'
const KNOWN: readonly string[] = [...Object.values(OPTIONS), ...Object.values(CLIENT_OPTIONS)].flatMap(
  ({ variable, isSecret }: OptionFacts) => (isSecret ? [variable, fileVariable(variable)] : [variable]),
)

/** Reports only names that resemble ours: Kubernetes sets STRANGLER_SERVICE_HOST and others for a Service named "strangler". */
function unknownVariables(environment: NodeJS.ProcessEnv, table: Table): Mistake[] {
  const names = Object.values(table).map(({ variable }) => variable)
  const endings = names.filter((name) => name.startsWith(PREFIX)).map((name) => name.slice(PREFIX.length))
  return Object.keys(environment).flatMap((name) => {
    if (!name.startsWith(PREFIX) || KNOWN.includes(name)) return []
    const suggestion = findNearest(name.slice(PREFIX.length), endings)
    if (suggestion === undefined) return []
    return [{ path: name, found: '', message: `unknown variable; did you mean "${PREFIX}${suggestion}"?` }]
  })
}
