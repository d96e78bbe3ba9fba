// Signed tokens for the admin API: what the environment says of them, checked.
import { readFileSync } from 'node:fs'
import { ALGORITHMS, type Algorithm, type KeySource } from '../../model/auth.ts'
import { formatValue, nearest, type ReportMistake } from '../mistake.ts'
import { mistakeInKeySetAddress } from '../schema/key-set-address.ts'
import { checkPublicKey } from '../schema/read-auth.ts'
import type { Said } from './options.ts'

/** What a signed token must be to be let in at the admin API. */
export type AdminJwtOptions = {
  readonly issuer: string
  readonly audience: string
  /** None with a shared secret. */
  readonly algorithms: readonly Algorithm[]
  readonly key: Exclude<KeySource, { readonly kind: 'secret' }>
  /** The claim that says viewer, operator or admin. */
  readonly roleClaim: string
}

type Name = 'adminJwtIssuer' | 'adminJwtAudience' | 'adminJwtAlgorithms' | 'adminJwtJwksUri' | 'adminJwtPublicKey'

/** Undefined where nothing is said of them; then no signed token is taken. */
export function readAdminJwt(
  say: (name: Name | 'adminJwtRoleClaim') => Said,
  report: ReportMistake,
): AdminJwtOptions | undefined {
  const [issuer, audience, algorithms] = [say('adminJwtIssuer'), say('adminJwtAudience'), say('adminJwtAlgorithms')]
  const [uri, file] = [say('adminJwtJwksUri'), say('adminJwtPublicKey')]
  const roleClaim = say('adminJwtRoleClaim')
  const written = [issuer, audience, algorithms, uri, file, roleClaim].find(({ isWritten }) => isWritten)
  if (written === undefined) return undefined
  for (const { name, isWritten } of [issuer, audience, algorithms])
    if (!isWritten) report({ path: name, found: '', message: `is missing, as ${written.name} is set` })
  if (uri.isWritten === file.isWritten) {
    const message = `and ${file.name} are two places for the same keys; set one of them`
    report({ path: uri.name, found: '', message })
  }
  const named = readAlgorithms(algorithms, report)
  return {
    issuer: issuer.value,
    audience: audience.value,
    algorithms: named,
    key: uri.isWritten ? readUri(uri, report) : readKey(file, named, report),
    roleClaim: roleClaim.value,
  }
}

/** Everybody may know the key that verifies here, so that a secret one has no place. */
const TAKEN = (Object.keys(ALGORITHMS) as Algorithm[]).filter((name) => ALGORITHMS[name].family !== 'HS')

function readAlgorithms({ value, name, isWritten }: Said, report: ReportMistake): Algorithm[] {
  if (!isWritten) return []
  return value.split(',').flatMap((written) => {
    const text = written.trim()
    const known = TAKEN.find((one) => one === text)
    if (known !== undefined) return [known]
    const meant = nearest(text, TAKEN)
    const hint = meant === undefined ? '' : `; did you mean "${meant}"?`
    report({ path: name, found: formatValue(text), message: `must be some of ${TAKEN.join(', ')}${hint}` })
    return []
  })
}

function readUri({ value, name }: Said, report: ReportMistake): AdminJwtOptions['key'] {
  const message = mistakeInKeySetAddress(value)
  if (message !== undefined)
    report({ path: name, found: value.includes('@') ? 'not shown' : formatValue(value), message })
  return { kind: 'jwks', uri: value }
}

function readKey({ value, name, isWritten }: Said, algorithms: readonly Algorithm[], report: ReportMistake) {
  const pem = isWritten ? readPem(value, name, report) : undefined
  if (pem !== undefined) checkPublicKey(pem, algorithms, name, report)
  return { kind: 'public-key', pem: pem ?? '' } as const
}

/** As soon as the gateway starts: a key that is not there is no key when it is needed. */
function readPem(file: string, name: string, report: ReportMistake): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'no reason given'
    report({ path: name, found: formatValue(file), message: `must be a file that can be read (${code})` })
    return undefined
  }
}
