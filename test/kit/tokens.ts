// Creates tokens as an issuer or an attacker does, with any header, payload and signature.
import {
  constants,
  createHmac,
  generateKeyPairSync,
  type KeyLike,
  type KeyObject,
  sign as signBytes,
} from 'node:crypto'

export const ISSUER = 'https://login.test/'
export const AUDIENCE = 'shop'

export type KeyPair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject }

export const rsaPair = (): KeyPair => generateKeyPairSync('rsa', { modulusLength: 2048 })
export const ecPair = (namedCurve: 'P-256' | 'P-384' | 'P-521' | 'secp256k1'): KeyPair =>
  generateKeyPairSync('ec', { namedCurve })

export const pemOf = ({ publicKey }: KeyPair): string => publicKey.export({ type: 'spki', format: 'pem' }) as string

/** The public key as an entry of a JWK Set. */
export const jwkOf = ({ publicKey }: KeyPair, more: Readonly<Record<string, unknown>> = {}): object => ({
  ...publicKey.export({ format: 'jwk' }),
  use: 'sig',
  ...more,
})

export const base64url = (value: string | Buffer | object): string =>
  Buffer.from(typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value)).toString('base64url')

/** Claims that are valid for one hour from now. */
export function goodClaims(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1000)
  return { iss: ISSUER, aud: AUDIENCE, sub: 'user-7', iat: now, exp: now + 3600, ...more }
}

export type Parts = {
  /** An object, or JSON text for content that an object cannot express. */
  readonly header?: object | string
  readonly payload?: object | string
}

/** A token signed with the algorithm, regardless of the `alg` in its header. */
export function signed(alg: string, key: KeyLike | Buffer, { header, payload }: Parts = {}): string {
  const signing = `${base64url(header ?? { alg, typ: 'JWT' })}.${base64url(payload ?? goodClaims())}`
  return `${signing}.${base64url(signature(alg, key, Buffer.from(signing)))}`
}

function signature(alg: string, key: KeyLike | Buffer, bytes: Buffer): Buffer {
  const digest = `sha${alg.slice(2)}`
  switch (alg.slice(0, 2)) {
    case 'HS':
      return createHmac(digest, key as Buffer)
        .update(bytes)
        .digest()
    case 'PS': {
      const padding = constants.RSA_PKCS1_PSS_PADDING
      return signBytes(digest, bytes, { key: key as KeyObject, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST })
    }
    case 'ES':
      return signBytes(digest, bytes, { key: key as KeyObject, dsaEncoding: 'ieee-p1363' })
    default:
      return signBytes(digest, bytes, key as KeyObject)
  }
}
