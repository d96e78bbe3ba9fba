// Errors of requests that the gateway refused, with an exit code and advice.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { type Problem, type ProblemCode, problem } from '../../admin/contract/problems.ts'
import { suggestName } from '../../config/mistake.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { escapeControls } from '../format/print.ts'
import { CliError } from './cli-error.ts'
import { MAY_HAVE_CHANGED, notGatewayError } from './connection-error.ts'
import type { GatewayAddress } from './resolve-gateway.ts'

const EXIT_OF: Readonly<Record<ProblemCode, ExitCode>> = {
  'not-json': EXIT.failed,
  'bad-request': EXIT.usage,
  'bad-query': EXIT.usage,
  unauthenticated: EXIT.failed,
  'invalid-token': EXIT.failed,
  forbidden: EXIT.failed,
  'foreign-origin': EXIT.failed,
  'not-found': EXIT.failed,
  'unknown-context': EXIT.usage,
  'unknown-difference': EXIT.usage,
  'method-not-allowed': EXIT.failed,
  refused: EXIT.failed,
  conflict: EXIT.conflict,
  'in-progress': EXIT.unavailable,
  'not-exportable': EXIT.failed,
  'precondition-failed': EXIT.conflict,
  'body-too-large': EXIT.failed,
  'not-json-type': EXIT.failed,
  'foreign-host': EXIT.failed,
  'bad-body': EXIT.usage,
  'reason-required': EXIT.usage,
  'key-reused': EXIT.failed,
  'too-many-failures': EXIT.unavailable,
  bug: EXIT.failed,
  unavailable: EXIT.unavailable,
  'keys-unreachable': EXIT.unavailable,
  'too-many-streams': EXIT.unavailable,
}

/** The parts of the request that a message mentions. */
type RefusedRequest = { readonly path: string; readonly isChange: boolean; readonly gateway: GatewayAddress }

/** @param answer the parsed body of the response */
export function problemError(response: Response, answer: unknown, request: RefusedRequest): CliError {
  const parsed = problem.safeParse(answer)
  if (!parsed.success) return foreignError(response, request)
  const exitCode = EXIT_OF[parsed.data.code]
  return new CliError(exitCode, describeProblem(parsed.data, response, request), answer)
}

/** The error for a response that no gateway wrote, such as that of a proxy. The gateway may have received the request nevertheless. */
function foreignError({ status, headers }: Response, { gateway, isChange }: RefusedRequest): CliError {
  if (status < 400) {
    const location = escapeControls(headers.get('location') ?? String(status))
    return notGatewayError(gateway, `it redirects (${location})`)
  }
  if (status < 500) return notGatewayError(gateway, `only with status ${status}`)
  return new CliError(
    EXIT.unavailable,
    `${gateway.url} answers ${status}, which is not a response of a gateway: a proxy in front of it failed, or it is another server${isChange ? MAY_HAVE_CHANGED : ''}`,
  )
}

function describeProblem(problem: Problem, response: Response, { path, gateway }: RefusedRequest): string {
  const { url } = gateway
  const detail = detailOf(problem)
  switch (problem.code) {
    case 'unauthenticated':
      return `${url} requires a token: ${tokenAdvice(gateway)}`
    case 'invalid-token':
      return `${url} does not accept the token ${tokenSource(gateway)}: ${detail}`
    case 'forbidden':
      return `this token does not allow this operation: ${detail}`
    case 'foreign-host':
      return `${url} refuses this host name: use its IP address, or start the gateway with --admin-names ${new URL(url).hostname}`
    case 'unknown-context': {
      const name = escapeControls(contextOf(path))
      return `there is no context ${JSON.stringify(name)}; ${suggestName(name, (problem.known ?? []).map(escapeControls))}`
    }
    case 'conflict':
    case 'precondition-failed':
      return `${detail}; nothing was changed: check strangler status, then repeat the command if it still applies`
    case 'reason-required':
      return 'this gateway requires a reason: give --reason TEXT'
    case 'too-many-failures':
      return `${url} refuses this address after too many failed attempts${retryAdvice(response)}`
    case 'too-many-streams':
      return `${url} has reached its limit of event streams: ${detail}, or watch another gateway`
    case 'bug':
      return `the gateway failed, and its log has the error${MAY_HAVE_CHANGED}`
    case 'not-found':
    case 'method-not-allowed':
    case 'not-json-type':
      return `${url} runs another version, which does not support this request: ${detail}`
    default:
      return detail
  }
}

function detailOf({ title, detail = title, mistakes = [] }: Problem): string {
  return escapeControls(
    [detail, ...mistakes.map(({ path, message }) => `${path === '' ? '' : `${path} `}${message}`)].join('; '),
  )
}

function tokenAdvice({ tokenFile, url, isNamed }: GatewayAddress): string {
  if (isNamed) return `set STRANGLER_TOKEN, or add a token to the profile (for ${url})`
  return `run this command in the folder of the gateway, so that ${tokenFile} can be read, or set STRANGLER_TOKEN`
}

function tokenSource({ tokenFile }: GatewayAddress): string {
  return tokenFile === undefined ? 'of this command' : `in ${tokenFile}`
}

function retryAdvice({ headers }: Response): string {
  const seconds = headers.get('retry-after') ?? ''
  return /^\d{1,6}$/.test(seconds) ? `; try again in ${seconds} s` : ''
}

/** The context in a path; empty if the path has none. */
function contextOf(path: string): string {
  const [prefix] = PATHS.context.split(':')
  const [, name = ''] = path.split(prefix as string)
  return decodeURIComponent(name.replace(/[/?].*$/, ''))
}
