// What a library raised, in our words: mapped once, here, next to the libraries that raise it.
import type { Failure } from '../model/outcome.ts'
import { RequestBodyError } from './request-body.ts'

/** @param wasSent whether the request had a connection, so that some of it may have reached the upstream */
export function classifyError(error: unknown, wasSent: boolean): Failure {
  if (error instanceof RequestBodyError) return error.failure
  const code = (error as { code?: string } | null)?.code ?? ''
  if (!wasSent) {
    if (code === 'EMFILE' || code === 'ENFILE') return 'overloaded'
    return code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT' ? 'connect-timeout' : 'connect-refused'
  }
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return 'response-timeout'
  if (code === 'UND_ERR_BODY_TIMEOUT') return 'response-broken'
  if (code.startsWith('HPE_') || MALFORMED.has(code) || isBadResponse(error)) return 'response-malformed'
  if (code === 'UND_ERR_INVALID_ARG') return 'internal'
  return 'connection-lost'
}

const MALFORMED = new Set(['UND_ERR_HEADERS_OVERFLOW', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'ERR_INVALID_CHAR'])

/** undici has one code for a lost socket and for an answer out of turn; the message tells them apart. */
function isBadResponse(error: unknown): boolean {
  return error instanceof Error && (error.message === 'bad response' || error.message === 'bad upgrade')
}
