// Who may use a route at all: what a token must be, where the keys come from, and what of it is passed on.

/** What is known of an algorithm: what its key must be, and which keys it shares. */
export type AlgorithmFacts = {
  /** Algorithms of one family take the same keys; a key serves one family only (RFC 8725 section 3.1). */
  readonly family: 'HS' | 'RS' | 'PS' | 'ES'
  /** Bytes of the hash: an HMAC key is at least as long (RFC 7518 section 3.2). */
  readonly hashBytes: 32 | 48 | 64
  /** Node's names of the key types that fit. */
  readonly keyTypes: readonly string[]
  /** OpenSSL's name of the one curve that fits (RFC 7518 section 3.4); undefined where there is none. */
  readonly curve: string | undefined
}

const HMAC = { family: 'HS', keyTypes: ['secret'], curve: undefined } as const
const PKCS1 = { family: 'RS', keyTypes: ['rsa'], curve: undefined } as const
const PSS = { family: 'PS', keyTypes: ['rsa', 'rsa-pss'], curve: undefined } as const
const ECDSA = { family: 'ES', keyTypes: ['ec'] } as const

/** Every algorithm a token may be signed with (RFC 7518 section 3.1). `none` is not one of them. */
export const ALGORITHMS = {
  HS256: { ...HMAC, hashBytes: 32 },
  HS384: { ...HMAC, hashBytes: 48 },
  HS512: { ...HMAC, hashBytes: 64 },
  RS256: { ...PKCS1, hashBytes: 32 },
  RS384: { ...PKCS1, hashBytes: 48 },
  RS512: { ...PKCS1, hashBytes: 64 },
  PS256: { ...PSS, hashBytes: 32 },
  PS384: { ...PSS, hashBytes: 48 },
  PS512: { ...PSS, hashBytes: 64 },
  ES256: { ...ECDSA, hashBytes: 32, curve: 'prime256v1' },
  ES384: { ...ECDSA, hashBytes: 48, curve: 'secp384r1' },
  ES512: { ...ECDSA, hashBytes: 64, curve: 'secp521r1' },
} as const satisfies Record<string, AlgorithmFacts>

export type Algorithm = keyof typeof ALGORITHMS

/** RFC 7518 sections 3.3 and 3.5: an RSA key has 2048 bits or more. */
export const LEAST_RSA_BITS = 2048

/** Where a token's key comes from: exactly one place. */
export type KeySource =
  /** A JWK Set (RFC 7517 section 5), asked for over HTTP. */
  | { readonly kind: 'jwks'; readonly uri: string }
  /** PEM text. */
  | { readonly kind: 'public-key'; readonly pem: string }
  /** The text that an environment variable had when the map was read. */
  | { readonly kind: 'secret'; readonly variable: string; readonly secret: string }

/** What a request to a route must carry. */
export type AuthPolicy = {
  /** The same for policies that ask the same: what was verified under one holds under the other. Tells no secret. */
  readonly id: string
  readonly issuer: string
  /** At least one; a token names one of them at least. */
  readonly audience: readonly string[]
  readonly algorithms: readonly Algorithm[]
  readonly key: KeySource
  /** How far the issuer's clock may be off. */
  readonly clockToleranceSeconds: number
  /** All of them are asked for; may be none. */
  readonly requiredScopes: readonly string[]
  /** Whether a request without a token is taken, as nobody's. */
  readonly optional: boolean
  /** What is passed on, beside `sub` in `X-User-Id`. */
  readonly claims: readonly ClaimHeader[]
}

/** A claim and the header that carries it to either side. */
export type ClaimHeader = { readonly claim: string; readonly header: string }

/** The header that carries the verified user's id, `sub`, to either side. */
export const USER_ID_HEADER = 'X-User-Id'
