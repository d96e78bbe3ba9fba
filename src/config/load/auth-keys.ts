// Reads the keys that are not in the map itself: PEM files, and secrets in environment variables.
import type { KeySource } from '../../model/auth.ts'
import { formatValue, joinPath, type Mistake, type ReportMistake } from '../mistake.ts'
import { checkPublicKey, checkSecret, isPem } from '../schema/read-auth.ts'
import type { ValidAuth, ValidConfig, ValidContext } from '../schema/valid-config.ts'
import type { CheckResult } from '../schema/validate.ts'
import { readPem } from './tls-files.ts'

/**
 * Reads the keys of a valid config.
 *
 * @param folder the folder to which the paths of PEM files are relative
 * @param variable reads an environment variable
 */
export async function readAuthKeys(
  config: ValidConfig,
  folder: string,
  variable: (name: string) => string | undefined,
): Promise<CheckResult> {
  const mistakes: Mistake[] = []
  const report = (mistake: Mistake) => void mistakes.push(mistake)
  // The routes of a context share one policy: its key is read once, and a mistake in it is reported once.
  const authByWritten = new Map<ValidAuth, ValidAuth>()
  const contexts = new Map<string, ValidContext>()
  for (const [name, context] of config.contexts) {
    for (const { auth } of context.routes) {
      if (auth !== undefined && !authByWritten.has(auth)) {
        authByWritten.set(auth, { ...auth, key: await readKey(auth, folder, variable, report) })
      }
    }
    const routes = context.routes.map((route) => ({ ...route, auth: route.auth && authByWritten.get(route.auth) }))
    contexts.set(name, { ...context, routes })
  }
  return mistakes.length === 0 ? { ok: true, config: { ...config, contexts } } : { ok: false, mistakes }
}

async function readKey(
  { key, algorithms, path }: ValidAuth,
  folder: string,
  variable: (name: string) => string | undefined,
  report: ReportMistake,
): Promise<KeySource> {
  const jwt = joinPath(path, 'jwt')
  if (key.kind === 'public-key' && !isPem(key.pem)) {
    const where = joinPath(jwt, 'publicKey')
    const pem = await readPem(key.pem, where, folder, report)
    if (isPem(pem)) checkPublicKey(pem, algorithms, where, report)
    return { kind: 'public-key', pem }
  }
  if (key.kind === 'secret') {
    const where = joinPath(jwt, 'secretFromEnv')
    const secret = variable(key.variable)
    if (secret !== undefined) checkSecret(secret, algorithms, where, report)
    else
      report({
        path: where,
        found: formatValue(key.variable),
        message: 'is an environment variable that is not set; set it',
      })
    return { ...key, secret: secret ?? '' }
  }
  return key
}
