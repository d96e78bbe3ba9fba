// A token that does not authorize a request: an expected result, so a value and not an exception.

/**
 * `missing`: no token was sent. `invalid`: it is malformed, expired, or signed by another key. `insufficient-scope`: it is
 * valid and lacks a scope. `keys-unreachable`: it cannot be verified, because the issuer's keys were never read.
 */
export type TokenRejectionReason = 'missing' | 'invalid' | 'insufficient-scope' | 'keys-unreachable'

export class TokenRejection {
  readonly reason: TokenRejectionReason
  /** The failed check, for the log. Contains nothing of the token. */
  readonly detail: string

  constructor(reason: TokenRejectionReason, detail: string) {
    this.reason = reason
    this.detail = detail
  }
}

export function invalidToken(detail: string): TokenRejection {
  return new TokenRejection('invalid', detail)
}
