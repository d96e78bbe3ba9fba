// Reads `auth`: the token that a route requires, the source of its key, and the claims that are forwarded.
import { createPublicKey, type KeyObject } from 'node:crypto'
import { z } from 'zod'
import {
  ALGORITHMS,
  type Algorithm,
  type AlgorithmFacts,
  type ClaimHeader,
  type KeySource,
  LEAST_RSA_BITS,
} from '../../model/auth.ts'
import { formatValue, joinPath, type ReportMistake } from '../mistake.ts'
import { assertComplete, readFields } from './fields.ts'
import { algorithm, audience, claimHeader, count, flag, issuer, jwksUri, scope, variableName } from './leaves.ts'
import type { ValidAuth } from './valid-config.ts'

/** Returns the policy. Keys with a reported mistake are missing. */
export function readAuth(written: unknown, path: string, report: ReportMistake): ValidAuth {
  const { jwt, optional, claims } = readFields(written, path, AUTH, report, EXAMPLE)
  const fields = readFields(jwt, joinPath(path, 'jwt'), JWT, report, JWT_EXAMPLE)
  const algorithms = fields.algorithms ?? []
  const key = readKey(fields, joinPath(path, 'jwt'), algorithms, report)
  return assertComplete<ValidAuth>({
    path,
    issuer: fields.issuer,
    audience: fields.audience,
    algorithms,
    key,
    clockToleranceSeconds: fields.clockToleranceSeconds,
    requiredScopes: fields.requiredScopes,
    optional,
    claims: readClaims(claims, joinPath(path, 'claims'), report),
  })
}

const AUTH = { jwt: z.unknown(), optional: flag.default(false), claims: z.unknown() } as const

const JWT = {
  issuer,
  audience,
  algorithms: z
    .array(algorithm, { error: 'must be a list of algorithms such as ["RS256"]' })
    .nonempty({ error: 'must name the algorithm that your issuer signs with, such as ["RS256"]' })
    .transform((list) => [...new Set(list)] as Algorithm[]),
  jwksUri: jwksUri.optional(),
  publicKey: z.string({ error: 'must be PEM text, or the path of a PEM file' }).optional(),
  secretFromEnv: variableName.optional(),
  clockToleranceSeconds: count(0, 300).default(5),
  requiredScopes: z.array(scope, { error: 'must be a list of scopes such as ["orders:read"]' }).default([]),
} as const

const JWT_EXAMPLE =
  '{ issuer: "https://login.example.com/", audience: "shop", algorithms: ["RS256"], jwksUri: "https://login.example.com/jwks.json" }'
const EXAMPLE = `{ jwt: ${JWT_EXAMPLE} }`

type WrittenKey = {
  readonly jwksUri?: string
  readonly publicKey?: string
  readonly secretFromEnv?: string
}

function readKey(
  written: WrittenKey,
  path: string,
  algorithms: readonly Algorithm[],
  report: ReportMistake,
): KeySource | undefined {
  const sources = (['jwksUri', 'publicKey', 'secretFromEnv'] as const).filter((name) => written[name] !== undefined)
  const [firstSource] = sources
  checkFamilies(algorithms, sources, joinPath(path, 'algorithms'), report)
  if (sources.length > 1) {
    const message = `names more than one key (${sources.join(', ')}); keep exactly one of them`
    report({ path, found: '', message })
    return undefined
  }
  if (written.jwksUri !== undefined) return { kind: 'jwks', uri: written.jwksUri }
  if (written.publicKey !== undefined) {
    const pem = written.publicKey
    if (isPem(pem)) checkPublicKey(pem, algorithms, joinPath(path, 'publicKey'), report)
    return { kind: 'public-key', pem }
  }
  if (written.secretFromEnv !== undefined) return { kind: 'secret', variable: written.secretFromEnv, secret: '' }
  if (firstSource === undefined) {
    const message =
      'names no key; write "jwksUri": "https://…", or "publicKey" (PEM text or a file), or "secretFromEnv" (the name of a variable)'
    report({ path, found: '', message })
  }
  return undefined
}

/**
 * Reports algorithms of several families. A key serves one family: a public key that is also accepted as an HMAC secret lets
 * everybody sign tokens (RFC 8725 section 2.1).
 */
function checkFamilies(
  algorithms: readonly Algorithm[],
  sources: readonly string[],
  path: string,
  report: ReportMistake,
): void {
  const families = new Set(algorithms.map((name) => ALGORITHMS[name].family))
  const names = algorithms.join(', ')
  const isMixed = families.has('HS') && families.size > 1
  if (isMixed) {
    const message =
      'must not mix HS* with other algorithms: everybody who knows the public key could then sign tokens; write one family, such as ["RS256"]'
    report({ path, found: names, message })
    return
  }
  if (sources.length !== 1) return
  const [source] = sources
  if (families.has('HS') && source !== 'secretFromEnv') {
    const message = `is HMAC, which needs a secret, but the key is in "${source}"; write "secretFromEnv", or your public key’s algorithm such as ["RS256"]`
    report({ path, found: names, message })
  } else if (families.size > 0 && !families.has('HS') && source === 'secretFromEnv') {
    const message = `needs a public key; write "jwksUri" or "publicKey", or ["HS256"] for a secret`
    report({ path, found: names, message })
  } else if (families.size > 1 && source === 'publicKey') {
    const message = `names ${families.size} families for one key; write the one that this key signs with`
    report({ path, found: names, message })
  }
}

export function isPem(text: string): boolean {
  return text.includes('-----BEGIN ')
}

/** Reports a key that is not a public key in PEM, or that does not fit the algorithms. */
export function checkPublicKey(
  pem: string,
  algorithms: readonly Algorithm[],
  path: string,
  report: ReportMistake,
): void {
  const message = findKeyProblem(pem, algorithms)
  if (message !== undefined) report({ path, found: '', message })
}

function findKeyProblem(pem: string, algorithms: readonly Algorithm[]): string | undefined {
  // Node would derive the public key from it, and the private key would stay in the map.
  if (pem.includes('PRIVATE KEY')) {
    return 'is a private key, which only the issuer may have; write the public key instead ("openssl pkey -pubout")'
  }
  const key = publicKeyOf(pem)
  if (key === undefined) return 'is not a public key in PEM; write "-----BEGIN PUBLIC KEY----- …" or a certificate'
  const type = key.asymmetricKeyType ?? 'unknown'
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {}
  if (modulusLength !== undefined && modulusLength < LEAST_RSA_BITS) {
    return `has ${modulusLength} bits; RFC 7518 section 3.3 asks for ${LEAST_RSA_BITS} or more`
  }
  const unfit = algorithms.filter((name) => !fitsKey(ALGORITHMS[name], type, namedCurve))
  if (unfit.length === 0) return undefined
  const kind = namedCurve === undefined ? type : `${type} (${namedCurve})`
  const fitting = Object.keys(ALGORITHMS).filter((name) => fitsKey(ALGORITHMS[name as Algorithm], type, namedCurve))
  const instead = fitting.length === 0 ? 'no supported algorithm uses it' : `its algorithms: ${fitting.join(', ')}`
  return `is of the type ${kind}, which ${unfit.join(', ')} cannot use; ${instead}`
}

function publicKeyOf(pem: string): KeyObject | undefined {
  try {
    return createPublicKey(pem)
  } catch {
    return undefined
  }
}

function fitsKey({ keyTypes, curve }: AlgorithmFacts, type: string, namedCurve: string | undefined): boolean {
  return keyTypes.includes(type) && (curve === undefined || curve === namedCurve)
}

/** Reports a secret that is shorter than the hash of its algorithm (RFC 7518 section 3.2). */
export function checkSecret(
  secret: string,
  algorithms: readonly Algorithm[],
  path: string,
  report: ReportMistake,
): void {
  const minBytes = Math.max(0, ...algorithms.map((name) => ALGORITHMS[name].hashBytes))
  const bytes = Buffer.byteLength(secret)
  if (bytes >= minBytes) return
  const message = `names a secret that is too short for ${algorithms.join(', ')}, which need at least ${minBytes} bytes (RFC 7518 section 3.2); make one with "openssl rand -hex ${minBytes}"`
  report({ path, found: `${bytes} bytes, not shown`, message })
}

/** Reads `{ email: 'X-User-Email' }` as a list of claims with their headers. */
function readClaims(written: unknown, path: string, report: ReportMistake): ClaimHeader[] {
  if (written === undefined) return []
  if (typeof written !== 'object' || written === null || Array.isArray(written)) {
    const message = 'must be an object with a header for each claim, such as { email: "X-User-Email" }'
    report({ path, found: formatValue(written), message })
    return []
  }
  const names = Object.keys(written)
  const headers = readFields(written, path, Object.fromEntries(names.map((name) => [name, claimHeader])), report)
  const taken = new Set<string>()
  return names.flatMap((claim) => {
    const header = headers[claim]
    if (header === undefined) return []
    if (taken.has(header.toLowerCase())) {
      const message = 'is already the header of another claim; write another header'
      report({ path: joinPath(path, claim), found: formatValue(header), message })
    }
    taken.add(header.toLowerCase())
    return [{ claim, header }]
  })
}
