// Finds the gateway that a command calls, and its token: from the command line, a profile, the environment, or the gateway on
// this machine.
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

export type GatewayAddress = {
  /** The admin port, without a slash at its end. */
  readonly url: string
  readonly token: string | undefined
  /** An option, a variable or a profile names it; else it is the gateway that may run on this machine. */
  readonly isNamed: boolean
  /** The file of the token, which may be missing; undefined if the token was given. */
  readonly tokenFile: string | undefined
}

type GatewaySelection = {
  readonly url?: string | undefined
  readonly token?: string | undefined
  readonly profile?: string | undefined
}

/** Warns on stderr if the token crosses a network unencrypted. @throws {UsageError} if options, variables or the profile are not valid */
export function findGateway(options: GatewaySelection): GatewayAddress {
  const gateway = resolveGateway(options)
  if (gateway.token !== undefined && isPlainHttpElsewhere(gateway.url)) {
    process.stderr.write(
      `strangler: warning: the token goes to ${gateway.url} over plain HTTP, where others can read it; use https://, or a tunnel that ends on this machine\n`,
    )
  }
  return gateway
}

function isPlainHttpElsewhere(url: string): boolean {
  return url.startsWith('http:') && !isThisMachine(url)
}

function resolveGateway(options: GatewaySelection): GatewayAddress {
  const environment = readClientEnv()
  if (environment.mistakes.length > 0) throw new UsageError(formatMistakes(environment.mistakes))
  const { url, token, name } = namedGateway(options, environment)
  const checkedUrl = url === undefined ? localUrl(environment) : checkUrl(url, name)
  const base = { url: checkedUrl, isNamed: url !== undefined }
  if (token !== undefined) return { ...base, token: checkToken(token), tokenFile: undefined }
  const tokenFile = join(environment.local.stateDir ?? OPTIONS.stateDir.fallback, 'admin-token')
  if (!isThisMachine(checkedUrl)) return { ...base, token: undefined, tokenFile }
  // A gateway that was started with the same variables accepts this token, and creates no token of its own.
  const { adminToken } = environment.local
  if (adminToken !== undefined) return { ...base, token: checkToken(adminToken), tokenFile: undefined }
  return { ...base, token: readToken(tokenFile), tokenFile }
}

type NamedGateway = { readonly url: string | undefined; readonly token: string | undefined; readonly name: string }

/** The command line takes precedence over the environment. The token of a profile is sent only to the URL of the profile. */
function namedGateway(options: GatewaySelection, { written }: ClientEnvironment): NamedGateway {
  if (options.url !== undefined && options.profile !== undefined) {
    throw new UsageError('--url and --profile are two gateways; name one')
  }
  const token = options.token ?? written.token
  if (options.url !== undefined) return { url: options.url, token, name: '--url' }
  if (options.profile !== undefined)
    return gatewayOfProfile(readProfile(options.profile), options.profile, options, written.token)
  if (written.url !== undefined && written.profile !== undefined) {
    throw new UsageError('STRANGLER_URL and STRANGLER_PROFILE are two gateways; unset one, or give --url or --profile')
  }
  if (written.url !== undefined) return { url: written.url, token, name: CLIENT_OPTIONS.url.variable }
  if (written.profile !== undefined) {
    return gatewayOfProfile(readProfile(written.profile), written.profile, options, written.token)
  }
  const profile = defaultProfile()
  if (profile !== undefined) return gatewayOfProfile(profile, 'default', options, written.token)
  return { url: undefined, token, name: '' }
}

function gatewayOfProfile(
  { url, token }: Profile,
  name: string,
  options: GatewaySelection,
  inEnvironment: string | undefined,
) {
  return { url, token: options.token ?? token ?? inEnvironment, name: `profile ${JSON.stringify(name)}` }
}

function checkUrl(written: string, name: string): string {
  const url = URL.parse(written)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError(
      `${name}: must be the address of an admin port, such as "http://127.0.0.1:8081" (found ${formatValue(written)})`,
    )
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new UsageError(`${name}: must have no password, query or fragment; give the token in STRANGLER_TOKEN`)
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

/** The token becomes a header value, so it must be visible ASCII. The message does not contain it. */
function checkToken(token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token
  throw new UsageError('the token must be one word, without spaces or line ends')
}

/** The admin port of a gateway on this machine that has the same environment. A wildcard address is reached on loopback. */
function localUrl({ local }: ClientEnvironment): string {
  const { adminHost = OPTIONS.adminHost.fallback, adminPort = OPTIONS.adminPort.fallback } = local
  const hostname = adminHost.replace(/^\[(.*)\]$/, '$1')
  const host = hostname === '0.0.0.0' || hostname === '::' ? '127.0.0.1' : hostname
  return checkUrl(`http://${isIP(host) === 6 ? `[${host}]` : host}:${adminPort}`, OPTIONS.adminPort.variable)
}

/** A token that was found in a file or in the environment of a gateway is sent only to this machine. */
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
