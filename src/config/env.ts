// The only reader of process.env: variables by the names that the options have.
import { CLIENT_OPTIONS, type WrittenClientOptions } from './client-options.ts'
import { type Mistake, nearest } from './mistake.ts'
import { OPTIONS, type OptionFacts, type WrittenOptions } from './options.ts'

export type Environment = {
  readonly written: WrittenOptions
  /** Variables that are nearly ours: a typing mistake would otherwise be a silent default. */
  readonly mistakes: readonly Mistake[]
}

/** Reads every variable that the gateway knows. An empty one counts as not set, as containers often pass them so. */
export function readEnv(environment: NodeJS.ProcessEnv = process.env): Environment {
  const written = writtenIn(environment, OPTIONS)
  return {
    written: isUnattended(environment) ? { requireReason: 'on', ...written } : written,
    mistakes: unknownVariables(environment, OPTIONS),
  }
}

/** Nobody would remember afterwards why something was changed here, or can be asked. */
function isUnattended({ NODE_ENV, CI }: NodeJS.ProcessEnv): boolean {
  return NODE_ENV === 'production' || !['', '0', 'false'].includes(CI?.toLowerCase() ?? '')
}

export type ClientEnvironment = {
  readonly written: WrittenClientOptions
  /** A gateway started here with the same variables is found, and its token. */
  readonly local: Pick<WrittenOptions, 'adminHost' | 'adminPort' | 'stateDir'>
  readonly color: boolean
  readonly mistakes: readonly Mistake[]
}

/** Reads what a command knows that asks a gateway; a mistake in the gateway's own variables is none of its business. */
export function readClientEnv(environment: NodeJS.ProcessEnv = process.env): ClientEnvironment {
  const { adminHost, adminPort, stateDir, noColor } = writtenIn(environment, OPTIONS)
  return {
    written: writtenIn(environment, CLIENT_OPTIONS),
    local: { adminHost, adminPort, stateDir },
    color: noColor === undefined,
    mistakes: unknownVariables(environment, CLIENT_OPTIONS),
  }
}

/** A variable that the map names; undefined where it is not set, or empty. */
export function readVariable(name: string): string | undefined {
  return process.env[name] || undefined
}

type Table = Readonly<Record<string, OptionFacts>>

function writtenIn<Facts extends Table>(environment: NodeJS.ProcessEnv, table: Facts) {
  const written: { [Name in keyof Facts]?: string } = {}
  for (const name of Object.keys(table) as (keyof Facts)[]) {
    const value = environment[table[name]?.variable ?? '']
    if (value !== undefined && value !== '') written[name] = value
  }
  return written
}

const PREFIX = 'STRANGLER_'
const KNOWN: readonly string[] = [...Object.values(OPTIONS), ...Object.values(CLIENT_OPTIONS)].map(
  ({ variable }) => variable,
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
