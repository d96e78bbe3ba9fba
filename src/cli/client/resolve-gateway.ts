// Which gateway is asked, and as whom: what is said on the command line, a profile, the environment, or the gateway
// that runs on this machine.
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { formatMistakes, formatValue } from '../../config/mistake.ts'
import { CLIENT_OPTIONS } from '../../config/options/client-options.ts'
import { type ClientEnvironment, readClientEnv } from '../../config/options/env.ts'
import { isLoopback } from '../../config/options/loopback.ts'
import { OPTIONS } from '../../config/options/option-table.ts'
import { UsageError } from '../usage-error.ts'
import { defaultProfile, type Profile, readProfile } from './profiles.ts'

export type Whom = {
  /** The admin port, without a slash at its end. */
  readonly url: string
  readonly token: string | undefined
  /** Somebody named it; else it is the gateway that may run here. */
  readonly isNamed: boolean
  /** The file that the token is from, or would be; undefined where one was given. */
  readonly tokenFile: string | undefined
}

export type WhomOptions = {
  readonly url?: string | undefined
  readonly token?: string | undefined
  readonly profile?: string | undefined
}

/** Warns on stderr where the token would cross a network unencrypted. @throws {UsageError} if what was said makes no sense */
export function whomToAsk(said: WhomOptions): Whom {
  const whom = resolveGateway(said)
  if (whom.token !== undefined && isPlainHttpElsewhere(whom.url)) {
    process.stderr.write(
      `strangler: warning: the token goes to ${whom.url} over plain HTTP, where others can read it; use https://, or a tunnel that ends on this machine\n`,
    )
  }
  return whom
}

function isPlainHttpElsewhere(url: string): boolean {
  return url.startsWith('http:') && !isThisMachine(url)
}

function resolveGateway(said: WhomOptions): Whom {
  const environment = readClientEnv()
  if (environment.mistakes.length > 0) throw new UsageError(formatMistakes(environment.mistakes))
  const { url, token, name } = named(said, environment)
  const checkedUrl = url === undefined ? localUrl(environment) : checkUrl(url, name)
  const base = { url: checkedUrl, isNamed: url !== undefined }
  if (token !== undefined) return { ...base, token: checkToken(token), tokenFile: undefined }
  const tokenFile = join(environment.local.stateDir ?? OPTIONS.stateDir.fallback, 'admin-token')
  if (!isThisMachine(checkedUrl)) return { ...base, token: undefined, tokenFile }
  // A gateway that was started here with the same variables takes this token, and makes none of its own.
  const { adminToken } = environment.local
  if (adminToken !== undefined) return { ...base, token: checkToken(adminToken), tokenFile: undefined }
  return { ...base, token: readToken(tokenFile), tokenFile }
}

type Named = { readonly url: string | undefined; readonly token: string | undefined; readonly name: string }

/** The command line wins over the environment; a profile's token is for the profile's URL alone. */
function named(said: WhomOptions, { written }: ClientEnvironment): Named {
  if (said.url !== undefined && said.profile !== undefined) {
    throw new UsageError('--url and --profile are two gateways; name one')
  }
  const token = said.token ?? written.token
  if (said.url !== undefined) return { url: said.url, token, name: '--url' }
  if (said.profile !== undefined) return fromProfile(readProfile(said.profile), said.profile, said, written.token)
  if (written.url !== undefined && written.profile !== undefined) {
    throw new UsageError('STRANGLER_URL and STRANGLER_PROFILE are two gateways; unset one, or say --url or --profile')
  }
  if (written.url !== undefined) return { url: written.url, token, name: CLIENT_OPTIONS.url.variable }
  if (written.profile !== undefined) {
    return fromProfile(readProfile(written.profile), written.profile, said, written.token)
  }
  const profile = defaultProfile()
  if (profile !== undefined) return fromProfile(profile, 'default', said, written.token)
  return { url: undefined, token, name: '' }
}

function fromProfile({ url, token }: Profile, name: string, said: WhomOptions, inEnvironment: string | undefined) {
  return { url, token: said.token ?? token ?? inEnvironment, name: `profile ${JSON.stringify(name)}` }
}

function checkUrl(written: string, name: string): string {
  const url = URL.parse(written)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError(
      `${name}: must be the address of an admin port, such as "http://127.0.0.1:8081" (found ${formatValue(written)})`,
    )
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new UsageError(`${name}: must have no password, query or fragment; a token is said with STRANGLER_TOKEN`)
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

/** It becomes a header's value: what is no visible ASCII was pasted by mistake. Never shown. */
function checkToken(token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw new UsageError('the token must be one word, without spaces or line ends')
}

/** Where a gateway with this environment listens, as this machine reaches it. */
function localUrl({ local }: ClientEnvironment): string {
  const { adminHost = OPTIONS.adminHost.fallback, adminPort = OPTIONS.adminPort.fallback } = local
  const bare = adminHost.replace(/^\[(.*)\]$/, '$1')
  const host = bare === '0.0.0.0' || bare === '::' ? '127.0.0.1' : bare
  return checkUrl(`http://${isIP(host) === 6 ? `[${host}]` : host}:${adminPort}`, OPTIONS.adminPort.variable)
}

/** A token that was found and not given goes to no other machine. */
function isThisMachine(url: string): boolean {
  return isLoopback(new URL(url).hostname)
}

function readToken(file: string): string | undefined {
  try {
    const token = readFileSync(file, 'utf8').trim()
    return token === '' ? undefined : checkToken(token)
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`${file}: ${error.message}`)
    return undefined
  }
}
