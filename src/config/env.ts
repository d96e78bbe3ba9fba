// The only reader of process.env: variables by the names that the options have.
import { type Mistake, nearest } from './mistake.ts'
import { OPTIONS, type WrittenOptions } from './options.ts'

export type Environment = {
  readonly written: WrittenOptions
  /** Variables that are nearly ours: a typing mistake would otherwise be a silent default. */
  readonly mistakes: readonly Mistake[]
}

/** Reads every variable that the gateway knows. An empty one counts as not set, as containers often pass them so. */
export function readEnv(environment: NodeJS.ProcessEnv = process.env): Environment {
  const written: Record<string, string> = {}
  for (const [name, { variable }] of Object.entries(OPTIONS)) {
    const value = environment[variable]
    if (value !== undefined && value !== '') written[name] = value
  }
  return { written, mistakes: unknownVariables(environment) }
}

const PREFIX = 'STRANGLER_'

/** Other names are left alone: Kubernetes makes STRANGLER_SERVICE_HOST and more for a Service named "strangler". */
function unknownVariables(environment: NodeJS.ProcessEnv): Mistake[] {
  const known: string[] = Object.values(OPTIONS).map(({ variable }) => variable)
  const endings = known.filter((name) => name.startsWith(PREFIX)).map((name) => name.slice(PREFIX.length))
  return Object.keys(environment).flatMap((name) => {
    if (!name.startsWith(PREFIX) || known.includes(name)) return []
    const meant = nearest(name.slice(PREFIX.length), endings)
    if (meant === undefined) return []
    return [{ path: name, found: '', message: `unknown variable; did you mean "${PREFIX}${meant}"?` }]
  })
}
