// Authentication of requests: the tokens that a route accepts, the source of their keys, and the claims that are forwarded.

/** The properties of a signature algorithm: the keys that it accepts. */
export type AlgorithmFacts = {
  /** Algorithms of one family accept the same keys. A key serves only one family (RFC 8725 section 3.1). */
  readonly family: 'HS' | 'RS' | 'PS' | 'ES'
  /** Bytes of the hash: an HMAC key is at least as long (RFC 7518 section 3.2). */
  readonly hashBytes: 32 | 48 | 64
  /** The accepted key types, as Node names them. */
  readonly keyTypes: readonly string[]
  /** The required curve, as OpenSSL names it (RFC 7518 section 3.4); undefined for algorithms without curves. */
  readonly curve: string | undefined
}

const HMAC = { family: 'HS', keyTypes: ['secret'], curve: undefined } as const
const PKCS1 = { family: 'RS', keyTypes: ['rsa'], curve: undefined } as const
const PSS = { family: 'PS', keyTypes: ['rsa', 'rsa-pss'], curve: undefined } as const
const ECDSA = { family: 'ES', keyTypes: ['ec'] } as const

/** The supported signature algorithms (RFC 7518 section 3.1). `none` is not supported. */
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

/** The minimum size of an RSA key (RFC 7518 sections 3.3 and 3.5). */
export const LEAST_RSA_BITS = 2048

/** The source of the key that verifies a token. */
export type KeySource =
  /** A JWK Set (RFC 7517 section 5), fetched over HTTP. */
  | { readonly kind: 'jwks'; readonly uri: string }
  /** PEM text. */
  | { readonly kind: 'public-key'; readonly pem: string }
  /** The text of an environment variable at the time when the map was read. */
  | { readonly kind: 'secret'; readonly variable: string; readonly secret: string }

/** The token that a request to a route must carry. */
export type AuthPolicy = {
  /** Equal for policies with equal content, so that a token verified under one is valid under the other. Contains no secret. */
  readonly id: string
  readonly issuer: string
  /** One or more audiences; a token must name at least one of them. */
  readonly audience: readonly string[]
  readonly algorithms: readonly Algorithm[]
  readonly key: KeySource
  /** The largest accepted difference to the issuer's clock, in seconds. */
  readonly clockToleranceSeconds: number
  /** The token must have all of these scopes; may be empty. */
  readonly requiredScopes: readonly string[]
  /** Whether a request without a token is accepted, as anonymous. */
  readonly optional: boolean
  /** The claims that are forwarded in addition to `sub`, which is sent as `X-User-Id`. */
  readonly claims: readonly ClaimHeader[]
}

/** A claim and the header that carries it to both sides. */
export type ClaimHeader = { readonly claim: string; readonly header: string }

/** The header that carries the verified user id (`sub`) to both sides. */
export const USER_ID_HEADER = 'X-User-Id'
