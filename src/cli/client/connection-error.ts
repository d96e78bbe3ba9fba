// No answer, or none of a gateway: why, in a sentence that says what to do.
import { EXIT } from '../exit-codes.ts'
import { plain } from '../format/print.ts'
import { Trouble } from './cli-error.ts'
import type { Whom } from './resolve-gateway.ts'

/** The connection broke after it was there: the same question may be asked once more. */
export function wasLost(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'UND_ERR_SOCKET'].includes(codeOf(error))
}

/** @param mayHaveChanged a change was sent, and what became of it was not heard */
export function unreachable(error: unknown, whom: Whom, mayHaveChanged: boolean): Trouble {
  const doubt = mayHaveChanged ? '; whether anything was changed is not known: strangler history tells' : ''
  return new Trouble(EXIT.unavailable, `${sentence(error, whom)}${doubt}`)
}

/** What answers is something else: a web server, the port for clients, another version. */
export function notAGateway({ url }: Whom, what: string): Trouble {
  return new Trouble(
    EXIT.unavailable,
    `${url} answers, but ${what}: it is not the admin port of a gateway; the clients’ port is another one (--admin-port of strangler serve)`,
  )
}

function sentence(error: unknown, { url, isNamed }: Whom): string {
  const code = codeOf(error)
  switch (code) {
    case 'ECONNREFUSED':
      return isNamed
        ? `nothing listens on ${url}; see that the gateway runs, and that this is its admin port`
        : `nothing listens on ${url}; start a gateway here, or say which one with --url, STRANGLER_URL or a profile`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${new URL(url).hostname} cannot be looked up; check the URL, and the network`
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ETIMEDOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return `${url} cannot be reached; check the URL, and that a firewall lets you through`
    case 'TimeoutError':
      return `${url} did not answer in time`
    default:
      return broken(error, code, url)
  }
}

function broken(error: unknown, code: string, url: string): string {
  if (wasLost(error)) return `${url} closed the connection twice without an answer`
  if (code === 'HTTPParserError') return `${url} does not speak HTTP; give the admin port of a gateway`
  if (code.startsWith('ERR_SSL') || code === 'EPROTO') return `${url} does not speak TLS; try http://`
  if (/CERT|SELF_SIGNED|SIGNATURE|ISSUER/.test(code)) {
    return `the certificate of ${url} is not trusted (${code}); NODE_EXTRA_CA_CERTS names a file of those to trust`
  }
  return `${url} cannot be asked (${plain(code === '' ? messageOf(error) : code)})`
}

/** The innermost code that says something: fetch wraps what the socket said. */
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
