// Errors of requests that get no response of a gateway, with advice.
import { EXIT } from '../exit-codes.ts'
import { escapeControls } from '../format/print.ts'
import { CliError } from './cli-error.ts'
import type { GatewayAddress } from './resolve-gateway.ts'

/** The connection broke after it was established. One retry is safe. */
export function isConnectionLost(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'UND_ERR_SOCKET'].includes(codeOf(error))
}

/** Appended when a change was sent and its result is unknown. */
export const MAY_HAVE_CHANGED = '; the change may have been made: check strangler history'

/** @param mayHaveChanged a change was sent, and no response arrived */
export function connectionError(error: unknown, gateway: GatewayAddress, mayHaveChanged: boolean): CliError {
  return new CliError(EXIT.unavailable, `${describeError(error, gateway)}${mayHaveChanged ? MAY_HAVE_CHANGED : ''}`)
}

/** Another server answers: a web server, the gateway's port for clients, another version. @param finding what it answered */
export function notGatewayError({ url }: GatewayAddress, finding: string): CliError {
  return new CliError(
    EXIT.unavailable,
    `${url} answers, but ${finding}: it is not the admin port of a gateway; use the port of --admin-port, not the clients’ port`,
  )
}

function describeError(error: unknown, { url, isNamed }: GatewayAddress): string {
  const code = codeOf(error)
  switch (code) {
    case 'ECONNREFUSED':
      return isNamed
        ? `nothing listens on ${url}; check that the gateway runs, and that this is its admin port`
        : `nothing listens on ${url}; start a gateway here, or name one with --url, STRANGLER_URL or a profile`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `the name ${new URL(url).hostname} cannot be resolved; check the URL and the network`
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ETIMEDOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return `${url} cannot be reached; check the URL, and that a firewall lets you through`
    case 'TimeoutError':
      return `${url} did not answer in time`
    default:
      return describeProtocolError(error, code, url)
  }
}

function describeProtocolError(error: unknown, code: string, url: string): string {
  if (isConnectionLost(error)) return `${url} closed the connection twice without an answer`
  if (code === 'HTTPParserError') return `${url} does not speak HTTP; use the admin port of a gateway`
  if (code.startsWith('ERR_SSL') || code === 'EPROTO') return `${url} does not speak TLS; try http://`
  if (/CERT|SELF_SIGNED|SIGNATURE|ISSUER/.test(code)) {
    return `the certificate of ${url} is not trusted (${code}); name a file with its CA in NODE_EXTRA_CA_CERTS`
  }
  return `the request to ${url} failed (${escapeControls(code === '' ? messageOf(error) : code)})`
}

/** The code of the innermost cause that has one: fetch wraps the error of the socket. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if (error.name === 'TimeoutError' || error.name === 'HTTPParserError') return error.name
  const { code } = error as NodeJS.ErrnoException
  return codeOf(error.cause) || (typeof code === 'string' ? code : '')
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : messageOf(error.cause)
}
