// The WWW-Authenticate fields of the admin API (RFC 6750 section 3).

export const TOKEN_REQUIRED = { 'WWW-Authenticate': 'Bearer' } as const
export const TOKEN_INVALID = { 'WWW-Authenticate': 'Bearer error="invalid_token"' } as const
