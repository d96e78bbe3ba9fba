// The gateway answered that it did not do it: why, in a sentence that says what to do, and the exit code.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { type Problem, type ProblemCode, problem } from '../../admin/contract/problems.ts'
import { suggestName } from '../../config/mistake.ts'
import { EXIT, type ExitCode } from '../exit-codes.ts'
import { plain } from '../format/print.ts'
import { Trouble } from './cli-error.ts'
import { notAGateway } from './connection-error.ts'
import type { Whom } from './resolve-gateway.ts'

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

/** What was asked for, as far as a sentence about it needs. */
type Asked = { readonly path: string; readonly isChange: boolean; readonly whom: Whom }

export function turnedAway(response: Response, answer: unknown, asked: Asked): Trouble {
  const read = problem.safeParse(answer)
  if (!read.success) return foreign(response, asked)
  const exitCode = EXIT_OF[read.data.code]
  return new Trouble(exitCode, sentence(read.data, response, asked), answer)
}

/** It may be a proxy in front of the gateway that says so, and the gateway may have heard of it all the same. */
function foreign({ status, headers }: Response, { whom, isChange }: Asked): Trouble {
  if (status < 400) return notAGateway(whom, `it sends elsewhere (${plain(headers.get('location') ?? String(status))})`)
  if (status < 500) return notAGateway(whom, `${status} is all it says`)
  const doubt = isChange ? '; whether anything was changed is not known: strangler history tells' : ''
  return new Trouble(
    EXIT.unavailable,
    `${whom.url} answers ${status}, and no gateway said so: what stands in front of it failed, or it is none${doubt}`,
  )
}

function sentence(said: Problem, response: Response, { path, whom }: Asked): string {
  switch (said.code) {
    case 'unauthenticated':
      return `${whom.url} asks for a token: ${howToGiveOne(whom)}`
    case 'invalid-token':
      return `${whom.url} does not accept the token ${tokenOf(whom)}: ${detailOf(said)}`
    case 'forbidden':
      return `this token may not do that: ${detailOf(said)}`
    case 'foreign-host':
      return `${whom.url} does not answer to that name: ask it by its address, or start it with --admin-names ${new URL(whom.url).hostname}`
    case 'unknown-context': {
      const name = contextIn(path)
      return `there is no context ${JSON.stringify(plain(name))}; ${suggestName(name, (said.known ?? []).map(plain))}`
    }
    case 'conflict':
    case 'precondition-failed':
      return `${detailOf(said)}; nothing was changed: look at it with strangler status, then say it again if it still holds`
    case 'reason-required':
      return 'this gateway wants to know why: say it with --reason TEXT'
    case 'too-many-failures':
      return `${whom.url} lets nobody in from here for a while, after too many failed attempts${soon(response)}`
    case 'too-many-streams':
      return `${whom.url} has as many watchers as it can bear; end one, or watch another gateway`
    case 'bug':
      return `the gateway failed at it, and its log tells why; whether anything was changed is not known: strangler history tells`
    case 'not-found':
    case 'method-not-allowed':
    case 'not-json-type':
      return `${whom.url} is of another version, and does not know this: ${detailOf(said)}`
    default:
      return detailOf(said)
  }
}

function detailOf({ title, detail = title, mistakes = [] }: Problem): string {
  return plain(
    [detail, ...mistakes.map(({ path, message }) => `${path === '' ? '' : `${path} `}${message}`)].join('; '),
  )
}

function howToGiveOne({ tokenFile, url, isNamed }: Whom): string {
  if (isNamed) return `set STRANGLER_TOKEN, or write it in a profile (for ${url})`
  return `run this where the gateway was started, so that ${tokenFile} can be read, or set STRANGLER_TOKEN`
}

function tokenOf({ tokenFile }: Whom): string {
  return tokenFile === undefined ? 'it was given' : `in ${tokenFile}`
}

function soon({ headers }: Response): string {
  const seconds = headers.get('retry-after') ?? ''
  return /^\d{1,6}$/.test(seconds) ? `; try again in ${seconds} s` : ''
}

/** The context that a path is about; empty if it is about none. */
function contextIn(path: string): string {
  const [beginning] = PATHS.context.split(':')
  const [, name = ''] = path.split(beginning as string)
  return decodeURIComponent(name.replace(/[/?].*$/, ''))
}
