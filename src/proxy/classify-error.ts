// What a library raised, in our words: mapped once, here, next to the libraries that raise it.
import { errors } from 'undici'
import type { Failure } from '../model/outcome.ts'
import { RequestBodyError } from './request-body.ts'

/** A response that the parser took, and that must not be passed on all the same. */
export class ResponseError extends Error {}

/** @param wasSent whether the request had a connection, so that some of it may have reached the upstream */
export function classifyError(error: unknown, wasSent: boolean): Failure {
  if (error instanceof RequestBodyError) return error.failure
  const code = (error as { code?: string } | null)?.code ?? ''
  if (!wasSent) {
    if (code === 'EMFILE' || code === 'ENFILE') return 'overloaded'
    return code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT' ? 'connect-timeout' : 'connect-refused'
  }
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'ERR_UPSTREAM_UPGRADE_TIMEOUT') return 'response-timeout'
  if (code === 'UND_ERR_BODY_TIMEOUT') return 'response-broken'
  if (code.startsWith('HPE_') || MALFORMED.has(code) || isBadResponse(error)) return 'response-malformed'
  if (code === 'UND_ERR_INVALID_ARG') return 'internal'
  return 'connection-lost'
}

const MALFORMED = new Set(['UND_ERR_HEADERS_OVERFLOW', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'ERR_INVALID_CHAR'])

/** undici has no code for what its parser refuses, and one for a lost socket and an answer out of turn alike. */
function isBadResponse(error: unknown): boolean {
  if (error instanceof ResponseError || error instanceof errors.HTTPParserError) return true
  return error instanceof Error && (error.message === 'bad response' || error.message === 'bad upgrade')
}
