// Maps errors of Node and of the parser to failures of the gateway.
import type { Failure } from '../../model/failures.ts'
import { UnsafeFieldError } from '../upstream/connection.ts'
import { ResponseError } from '../upstream/response-parser.ts'
import { RequestBodyError } from './request-body.ts'

/** The upstream did not make progress within a timeout. */
export class UpstreamTimeout extends Error {
  readonly failure: Failure

  constructor(failure: 'connect-timeout' | 'response-timeout' | 'response-broken') {
    super(`upstream: ${failure}`)
    this.failure = failure
  }
}

/** @param wasSent whether the connection was open, so that some of the request may have reached the upstream */
export function classifyError(error: unknown, wasSent: boolean): Failure {
  if (error instanceof RequestBodyError || error instanceof UpstreamTimeout) return error.failure
  const code = (error as { code?: string } | null)?.code ?? ''
  if (!wasSent) {
    if (code === 'EMFILE' || code === 'ENFILE') return 'overloaded'
    return code === 'ETIMEDOUT' ? 'connect-timeout' : 'connect-refused'
  }
  if (error instanceof UnsafeFieldError) return 'internal'
  // Node refuses to write invalid fields, and Node's own parser (HPE_*) reads the responses to upgrades.
  if (error instanceof ResponseError || MALFORMED.has(code) || code.startsWith('HPE_')) return 'response-malformed'
  return 'connection-lost'
}

const MALFORMED = new Set([
  'ERR_INVALID_CHAR',
  'ERR_INVALID_HTTP_TOKEN',
  'ERR_HTTP_INVALID_HEADER_VALUE',
  'ERR_HTTP_INVALID_STATUS_CODE',
])
