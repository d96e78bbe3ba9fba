// Keys that verify tokens, and the algorithms that each key may be used with.
import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import { ALGORITHMS, type Algorithm, type KeySource } from '../model/auth.ts'

export type TokenKey = {
  readonly key: KeyObject
  /** The one algorithm that the JWK allows (RFC 7517 section 4.4); undefined if it does not restrict the algorithm. */
  readonly alg: string | undefined
}

/** A key that the config contains. */
export type StaticKeySource = Exclude<KeySource, { readonly kind: 'jwks' }>

export function importKey(source: StaticKeySource): TokenKey {
  const key = source.kind === 'secret' ? createSecretKey(source.secret, 'utf8') : createPublicKey(source.pem)
  return { key, alg: undefined }
}

/**
 * The configured algorithms that a key may be used with: those that fit its type, its curve and its JWK, all of one
 * family (RFC 8725 section 3.1). If several families fit, the family that is configured first wins.
 */
export function algorithmsFor({ key, alg }: TokenKey, configured: readonly Algorithm[]): Algorithm[] {
  const type = key.asymmetricKeyType ?? key.type
  const namedCurve = key.asymmetricKeyDetails?.namedCurve
  const fitting = configured.filter((name) => {
    const { keyTypes, curve } = ALGORITHMS[name]
    const fits = (keyTypes as readonly string[]).includes(type) && (curve === undefined || curve === namedCurve)
    return fits && (alg === undefined || alg === name)
  })
  const [first] = fitting
  return first === undefined ? [] : fitting.filter((name) => ALGORITHMS[name].family === ALGORITHMS[first].family)
}
