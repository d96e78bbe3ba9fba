// Signed tokens for the admin API: the options of their verification.
import { readFileSync } from 'node:fs'
import { ALGORITHMS, type Algorithm, type KeySource } from '../../model/auth.ts'
import { findNearest, formatValue, type ReportMistake } from '../mistake.ts'
import { mistakeInKeySetAddress } from '../schema/key-set-address.ts'
import { checkPublicKey } from '../schema/read-auth.ts'
import type { OptionValue } from './read-option.ts'

/** How the admin API verifies signed tokens. */
export type AdminJwtOptions = {
  readonly issuer: string
  readonly audience: string
  /** Without the algorithms of shared secrets. */
  readonly algorithms: readonly Algorithm[]
  readonly key: Exclude<KeySource, { readonly kind: 'secret' }>
  /** The claim that contains the role: viewer, operator or admin. */
  readonly roleClaim: string
}

type JwtOptionName =
  | 'adminJwtIssuer'
  | 'adminJwtAudience'
  | 'adminJwtAlgorithms'
  | 'adminJwtJwksUri'
  | 'adminJwtPublicKey'

/** Undefined where none of these options is set: the admin API then accepts no signed token. */
export function readAdminJwt(
  lookUp: (name: JwtOptionName | 'adminJwtRoleClaim') => OptionValue,
  report: ReportMistake,
): AdminJwtOptions | undefined {
  const [issuer, audience, algorithms] = [
    lookUp('adminJwtIssuer'),
    lookUp('adminJwtAudience'),
    lookUp('adminJwtAlgorithms'),
  ]
  const [uri, file] = [lookUp('adminJwtJwksUri'), lookUp('adminJwtPublicKey')]
  const roleClaim = lookUp('adminJwtRoleClaim')
  const written = [issuer, audience, algorithms, uri, file, roleClaim].find(({ isWritten }) => isWritten)
  if (written === undefined) return undefined
  for (const { name, isWritten } of [issuer, audience, algorithms])
    if (!isWritten) report({ path: name, found: '', message: `is missing, as ${written.name} is set` })
  if (uri.isWritten === file.isWritten) {
    const message = uri.isWritten
      ? `is set, and ${file.name} as well; set one of them`
      : `is missing; set it, or set ${file.name}`
    report({ path: uri.name, found: '', message })
  }
  const accepted = readAlgorithms(algorithms, report)
  return {
    issuer: issuer.value,
    audience: audience.value,
    algorithms: accepted,
    key: uri.isWritten ? readUri(uri, report) : readKey(file, accepted, report),
    roleClaim: roleClaim.value,
  }
}

/** A shared secret (HS) is not accepted: every gateway that verifies with it could also sign. */
const ACCEPTED = (Object.keys(ALGORITHMS) as Algorithm[]).filter((name) => ALGORITHMS[name].family !== 'HS')

function readAlgorithms({ value, name, isWritten }: OptionValue, report: ReportMistake): Algorithm[] {
  if (!isWritten) return []
  return value.split(',').flatMap((written) => {
    const text = written.trim()
    const algorithm = ACCEPTED.find((candidate) => candidate === text)
    if (algorithm !== undefined) return [algorithm]
    const suggestion = findNearest(text, ACCEPTED)
    const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`
    report({ path: name, found: formatValue(text), message: `must be one or more of ${ACCEPTED.join(', ')}${hint}` })
    return []
  })
}

function readUri({ value, name }: OptionValue, report: ReportMistake): AdminJwtOptions['key'] {
  const message = mistakeInKeySetAddress(value)
  if (message !== undefined)
    report({ path: name, found: value.includes('@') ? 'not shown' : formatValue(value), message })
  return { kind: 'jwks', uri: value }
}

function readKey({ value, name, isWritten }: OptionValue, algorithms: readonly Algorithm[], report: ReportMistake) {
  const pem = isWritten ? readPem(value, name, report) : undefined
  if (pem !== undefined) checkPublicKey(pem, algorithms, name, report)
  return { kind: 'public-key', pem: pem ?? '' } as const
}

/** Reads the file when the gateway starts, so that a missing key is reported before the first request needs it. */
function readPem(file: string, name: string, report: ReportMistake): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'no reason given'
    report({ path: name, found: formatValue(file), message: `must be a file that can be read (${code})` })
    return undefined
  }
}
