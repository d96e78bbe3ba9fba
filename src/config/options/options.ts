// How a gateway is started: what the command line and the environment can say, checked and merged.
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { dirname, join } from 'node:path'
import { formatValue, type Mistake, nearest, type ReportMistake } from '../mistake.ts'
import { addressRange } from '../schema/leaves.ts'
import { type AdminJwtOptions, readAdminJwt } from './admin-jwt.ts'

/** What a gateway is started with. Paths are as they were written, relative to the working folder. */
export type Options = {
  /** Proxies in front of the admin port whose `X-Forwarded-For` is believed: addresses and ranges. */
  readonly adminTrustedProxies: readonly string[]
  /** Undefined where everybody who reaches the admin port may scrape. */
  readonly metricsToken: string | undefined
  /** For how long metrics are served again before they are collected anew. */
  readonly metricsCacheMs: number
  /** The migration map. */
  readonly config: string
  readonly host: string
  readonly port: number
  readonly adminHost: string
  readonly adminPort: number
  /** Names that the admin port may be asked by, besides addresses and `localhost`. */
  readonly adminNames: readonly string[]
  /** Where the others of a fleet, and its operators, reach the admin port; undefined for the address it listens on. */
  readonly adminUrl: string | undefined
  /** Lets the bearer in at the admin API; undefined where the gateway makes one of its own, or only takes signed ones. */
  readonly adminToken: string | undefined
  /** What signed tokens must be to be let in there; undefined where none are taken. */
  readonly adminJwt: AdminJwtOptions | undefined
  /** Whether every change over the admin API must say why. */
  readonly requireReason: boolean
  /** The embedded flags; not read where `unleash` is given. */
  readonly flags: string
  readonly stateDir: string
  /** Where a fleet keeps its shared state; undefined for a gateway that is alone and keeps it in `stateDir`. */
  readonly redis: RedisOptions | undefined
  /** What the fleet calls this gateway; undefined for an id that the state folder keeps. */
  readonly name: string | undefined
  /** How long a silent gateway counts as one of the fleet, in milliseconds. */
  readonly forgetAfterMs: number
  /** A file, or `-` for standard output. */
  readonly accessLog: string
  readonly logLevel: LogLevel
  /** Signs the anonymous id; undefined where the gateway keeps one of its own in `stateDir`. */
  readonly cookieSecret: string | undefined
  /** Undefined for the embedded flags. */
  readonly unleash: UnleashOptions | undefined
  /** Whether a terminal may be written to in colour. */
  readonly color: boolean
}

export type LogLevel = (typeof LOG_LEVELS)[number]

export type RedisOptions = {
  readonly url: string
  /** What all keys begin with: gateways of one fleet share it, and no others. */
  readonly prefix: string
}

export type UnleashOptions = {
  /** The API's address, such as `https://unleash.example.com/api`. */
  readonly url: string
  readonly token: string
  readonly appName: string
  /** Undefined where the token says which: it is compared with in constraints, and flags are moved in it. */
  readonly environment: string | undefined
  /** For moving flags; undefined where the gateway may only read them. */
  readonly adminToken: string | undefined
  /** Where flags are moved, and made if they are missing. */
  readonly project: string
}

/** Everything that can be said, by its name in `Options`: how each source calls it, and what it means. */
export const OPTIONS = {
  config: {
    flag: '--config',
    variable: 'STRANGLER_CONFIG',
    value: 'FILE',
    meaning: 'the migration map',
    fallback: 'routes.config.ts',
  },
  host: {
    flag: '--host',
    variable: 'STRANGLER_HOST',
    value: 'ADDRESS',
    meaning: 'where clients are served',
    fallback: '127.0.0.1',
  },
  port: {
    flag: '--port',
    variable: 'STRANGLER_PORT',
    value: 'PORT',
    meaning: 'the port for clients; 0 takes a free one',
    fallback: '8080',
  },
  adminHost: {
    flag: '--admin-host',
    variable: 'STRANGLER_ADMIN_HOST',
    value: 'ADDRESS',
    meaning: 'where health, metrics and the API are served',
    fallback: '127.0.0.1',
  },
  adminPort: {
    flag: '--admin-port',
    variable: 'STRANGLER_ADMIN_PORT',
    value: 'PORT',
    meaning: 'their port; 0 takes a free one',
    fallback: '8081',
  },
  adminNames: {
    flag: '--admin-names',
    variable: 'STRANGLER_ADMIN_NAMES',
    value: 'NAMES',
    meaning: 'names it may be asked by, besides addresses and localhost; commas between them',
  },
  adminTrustedProxies: {
    flag: '--admin-trusted-proxies',
    variable: 'STRANGLER_ADMIN_TRUSTED_PROXIES',
    value: 'RANGES',
    meaning: 'proxies in front of the admin port that say who the client is; commas between them',
  },
  metricsToken: {
    variable: 'STRANGLER_METRICS_TOKEN',
    value: 'TEXT',
    meaning: 'the token that a scrape of /metrics must carry; none by default',
  },
  metricsTokenFile: {
    variable: 'STRANGLER_METRICS_TOKEN_FILE',
    value: 'FILE',
    meaning: 'the file that this token is in, instead; read at the start',
  },
  metricsCacheMs: {
    variable: 'STRANGLER_METRICS_CACHE_MS',
    value: 'MILLISECONDS',
    meaning: 'how old the metrics of a scrape may be; 0 collects them for each',
    fallback: '1000',
  },
  adminUrl: {
    variable: 'STRANGLER_ADMIN_URL',
    value: 'URL',
    meaning: 'where the rest of the fleet reaches it; its host and port unless told',
  },
  adminToken: {
    variable: 'STRANGLER_ADMIN_TOKEN',
    isSecret: true,
    value: 'TEXT',
    meaning: 'the token of the admin API; the same on every gateway of a fleet',
  },
  adminJwtIssuer: {
    variable: 'STRANGLER_ADMIN_JWT_ISSUER',
    value: 'TEXT',
    meaning: 'who signs tokens for the admin API: their iss',
  },
  adminJwtAudience: {
    variable: 'STRANGLER_ADMIN_JWT_AUDIENCE',
    value: 'TEXT',
    meaning: 'whom they are for: their aud',
  },
  adminJwtAlgorithms: {
    variable: 'STRANGLER_ADMIN_JWT_ALGORITHMS',
    value: 'NAMES',
    meaning: 'what they may be signed with, such as RS256; commas between them',
  },
  adminJwtJwksUri: {
    variable: 'STRANGLER_ADMIN_JWT_JWKS_URI',
    value: 'URL',
    meaning: 'where their issuer has its keys',
  },
  adminJwtPublicKey: {
    variable: 'STRANGLER_ADMIN_JWT_PUBLIC_KEY',
    value: 'FILE',
    meaning: 'their one public key in PEM, instead',
  },
  adminJwtRoleClaim: {
    variable: 'STRANGLER_ADMIN_JWT_ROLE_CLAIM',
    value: 'NAME',
    meaning: 'the claim that says viewer, operator or admin',
    fallback: 'role',
  },
  requireReason: {
    variable: 'STRANGLER_REQUIRE_REASON',
    value: 'ON|OFF',
    meaning: 'whether every change must say why; on where NODE_ENV is production or CI is set',
    fallback: 'off',
  },
  flags: {
    flag: '--flags',
    variable: 'STRANGLER_FLAGS',
    value: 'FILE',
    meaning: 'the embedded flags',
    fallback: 'flags.json beside the config',
  },
  stateDir: {
    flag: '--state-dir',
    variable: 'STRANGLER_STATE_DIR',
    value: 'FOLDER',
    meaning: 'what the gateway keeps between starts',
    fallback: '.strangler',
  },
  redisUrl: {
    variable: 'REDIS_URL',
    isSecret: true,
    value: 'URL',
    meaning: 'where a fleet keeps what it shares: redis://, rediss://, redis+sentinel://, redis+cluster://',
  },
  redisPrefix: {
    variable: 'STRANGLER_REDIS_PREFIX',
    value: 'NAME',
    meaning: 'what its keys begin with: one for each fleet',
    fallback: 'strangler',
  },
  name: {
    flag: '--name',
    variable: 'STRANGLER_NAME',
    value: 'NAME',
    meaning: 'what the fleet calls this gateway; an id that the state folder keeps unless told',
  },
  forgetAfter: {
    flag: '--forget-after',
    variable: 'STRANGLER_FORGET_AFTER',
    value: 'DURATION',
    meaning: 'how long a silent gateway counts as one of the fleet; the same on every gateway',
    fallback: '15m',
  },
  accessLog: {
    flag: '--access-log',
    variable: 'STRANGLER_ACCESS_LOG',
    value: 'FILE',
    meaning: 'the access log; - is standard output',
    fallback: '-',
  },
  logLevel: {
    flag: '--log-level',
    variable: 'STRANGLER_LOG_LEVEL',
    value: 'LEVEL',
    meaning: 'the least important line that is logged',
    fallback: 'info',
  },
  cookieSecret: {
    variable: 'STRANGLER_COOKIE_SECRET',
    isSecret: true,
    value: 'TEXT',
    meaning: 'signs the anonymous id; the same on every gateway',
  },
  unleashUrl: {
    variable: 'UNLEASH_URL',
    value: 'URL',
    meaning: 'the API of a real Unleash, instead of the embedded flags',
  },
  unleashToken: { variable: 'UNLEASH_API_TOKEN', isSecret: true, value: 'TOKEN', meaning: 'a backend token for it' },
  unleashAppName: {
    variable: 'UNLEASH_APP_NAME',
    value: 'NAME',
    meaning: 'what the gateway is called there',
    fallback: 'strangler-gateway',
  },
  unleashEnvironment: {
    variable: 'UNLEASH_ENVIRONMENT',
    value: 'NAME',
    meaning: 'the environment that is sent along, and that flags are moved in; the token’s own unless told',
  },
  unleashAdminToken: {
    variable: 'UNLEASH_ADMIN_TOKEN',
    isSecret: true,
    value: 'TOKEN',
    meaning: 'an admin token, to move flags there',
  },
  unleashProject: {
    variable: 'UNLEASH_PROJECT',
    value: 'NAME',
    meaning: 'the project that the flags are in',
    fallback: 'default',
  },
  noColor: { variable: 'NO_COLOR', value: 'ANYTHING', meaning: 'no colours in a terminal' },
} as const satisfies Readonly<Record<string, OptionFacts>>

export type OptionFacts = {
  /** On the command line; secrets have none, as every user of the machine can read it. */
  readonly flag?: string
  readonly variable: string
  /** The variable with `_FILE` behind its name may name a file that holds the value instead. */
  readonly isSecret?: boolean
  readonly value: string
  readonly meaning: string
  readonly fallback?: string
}

/** What one source says, by name; unchecked. */
export type RawOptions = { readonly [Name in keyof typeof OPTIONS]?: string | undefined }

export type Merged =
  | { readonly ok: true; readonly options: Options }
  | { readonly ok: false; readonly mistakes: readonly Mistake[] }

/** Command line wins over environment wins over defaults; every mistake is reported under the name of its source. */
export function mergeOptions(commandLine: RawOptions, environment: RawOptions): Merged {
  const mistakes: Mistake[] = []
  const report = (mistake: Mistake) => void mistakes.push(mistake)
  const say = (name: keyof typeof OPTIONS) => sayOf(name, commandLine, environment)
  const config = readText(say('config'), report)
  const flags = say('flags')
  const options: Options = {
    config,
    host: readHost(say('host'), report),
    port: readPort(say('port'), report),
    adminHost: readHost(say('adminHost'), report),
    adminPort: readPort(say('adminPort'), report),
    adminNames: readNames(say('adminNames'), report),
    adminTrustedProxies: readRanges(say('adminTrustedProxies'), report),
    metricsToken: readMetricsToken(say('metricsToken'), say('metricsTokenFile'), report),
    metricsCacheMs: readMilliseconds(say('metricsCacheMs'), report),
    adminUrl: readUrl(say('adminUrl'), report),
    adminToken: readAdminToken(say('adminToken'), report),
    adminJwt: readAdminJwt(say, report),
    requireReason: readSwitch(say('requireReason'), report),
    flags: flags.isWritten ? readText(flags, report) : join(dirname(config), 'flags.json'),
    stateDir: readText(say('stateDir'), report),
    redis: readRedis(say, report),
    name: readName(say('name'), report),
    forgetAfterMs: readForgetAfter(say('forgetAfter'), report),
    accessLog: readText(say('accessLog'), report),
    logLevel: readLogLevel(say('logLevel'), report),
    cookieSecret: readSecret(say('cookieSecret'), report),
    unleash: readUnleash(say, report),
    color: (environment.noColor ?? '') === '',
  }
  if (options.port !== 0 && options.port === options.adminPort && options.host === options.adminHost) {
    const { value, name } = say('adminPort')
    report({
      path: name,
      found: formatValue(value),
      message: 'is the port for clients as well; the admin port is another',
    })
  }
  return mistakes.length === 0 ? { ok: true, options } : { ok: false, mistakes }
}

const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const
const LEAST_SECRET = 16
const LEAST_ADMIN_TOKEN = 32

/** A value with the name under which its source knows it. */
export type Said = { readonly value: string; readonly name: string; readonly isWritten: boolean }

function sayOf(option: keyof typeof OPTIONS, commandLine: RawOptions, environment: RawOptions): Said {
  const { flag, variable, fallback = '' }: OptionFacts = OPTIONS[option]
  const onLine = commandLine[option]
  if (onLine !== undefined) return { value: onLine, name: flag ?? variable, isWritten: true }
  const inEnvironment = environment[option]
  if (inEnvironment !== undefined) return { value: inEnvironment, name: variable, isWritten: true }
  return { value: fallback, name: flag ?? variable, isWritten: false }
}

function readText({ value, name }: Said, report: ReportMistake): string {
  if (value.trim() === '' || value.includes('\0')) {
    report({ path: name, found: formatValue(value), message: 'must not be empty; leave it out for the default' })
  }
  return value
}

function readHost({ value, name }: Said, report: ReportMistake): string {
  const bare = value.replace(/^\[(.*)\]$/, '$1')
  if (isIP(bare) === 0 && !/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i.test(bare)) {
    report({
      path: name,
      found: formatValue(value),
      message: 'must be an address or name to listen on, such as "127.0.0.1" or "0.0.0.0"',
    })
  }
  return bare
}

function readNames({ value, name }: Said, report: ReportMistake): string[] {
  const names = value.split(',').map((one) => one.trim().toLowerCase())
  const isName = (one: string) => /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(one)
  if (value === '') return []
  if (!names.every(isName)) {
    report({
      path: name,
      found: formatValue(value),
      message: 'must be host names without ports, such as "gateway,gateway.prod"',
    })
  }
  return names
}

function readRanges({ value, name }: Said, report: ReportMistake): string[] {
  const ranges = value === '' ? [] : value.split(',').map((range) => range.trim())
  for (const range of ranges) {
    const checked = addressRange.safeParse(range)
    if (!checked.success)
      report({ path: name, found: formatValue(range), message: checked.error.issues[0]?.message ?? '' })
  }
  return ranges
}

function readMetricsToken(token: Said, file: Said, report: ReportMistake): string | undefined {
  if (token.isWritten && file.isWritten) {
    const message = `and ${file.name} are two places for the same token; set one of them`
    report({ path: token.name, found: '', message })
  }
  if (!file.isWritten) return readAdminToken(token, report)
  const value = readText(file, report)
  try {
    return readAdminToken({ ...file, value: readFileSync(value, 'utf8').trim() }, report)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'no reason given'
    report({ path: file.name, found: formatValue(value), message: `must be a file that can be read (${code})` })
    return undefined
  }
}

function readMilliseconds({ value, name }: Said, report: ReportMistake): number {
  const ms = /^\d{1,6}$/.test(value) ? Number(value) : Number.NaN
  if (!(ms <= 60_000))
    report({ path: name, found: formatValue(value), message: 'must be milliseconds from 0 to 60000' })
  return ms
}

function readPort({ value, name }: Said, report: ReportMistake): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : Number.NaN
  // Kubernetes sets STRANGLER_PORT=tcp://10.0.0.1:80 in every pod beside a Service named "strangler".
  const hint = value.startsWith('tcp://') ? ': rename the Service, or set "enableServiceLinks: false" in the pod' : ''
  if (!(port <= 65_535))
    report({ path: name, found: formatValue(value), message: `must be a port from 0 to 65535${hint}` })
  return port
}

function readLogLevel({ value, name }: Said, report: ReportMistake): LogLevel {
  const level = LOG_LEVELS.find((known) => known === value)
  if (level !== undefined) return level
  const meant = nearest(value, LOG_LEVELS)
  const hint = meant === undefined ? '' : `; did you mean "${meant}"?`
  report({ path: name, found: formatValue(value), message: `must be one of ${LOG_LEVELS.join(', ')}${hint}` })
  return 'info'
}

function readSwitch({ value, name }: Said, report: ReportMistake): boolean {
  if (value !== 'on' && value !== 'off') report({ path: name, found: formatValue(value), message: 'must be on or off' })
  return value === 'on'
}

function readName({ value, name, isWritten }: Said, report: ReportMistake): string | undefined {
  if (!isWritten) return undefined
  if (!/^[\w.:-]{1,64}$/.test(value))
    report({ path: name, found: formatValue(value), message: 'must be up to 64 letters, digits, and - _ . :' })
  // `.` and `..` cannot be a segment of a path, so no command could remove such a gateway; `-x` reads as an option.
  else if (!/^[A-Za-z0-9]/.test(value))
    report({ path: name, found: formatValue(value), message: 'must begin with a letter or a digit' })
  return value
}

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const LEAST_FORGET_MS = 10_000
const MOST_FORGET_MS = 7 * 86_400_000

function readForgetAfter({ value, name }: Said, report: ReportMistake): number {
  const [, amount, unit = ''] = /^(\d{1,6})([smhd])$/.exec(value) ?? []
  const ms = Number(amount) * (UNITS_MS[unit] ?? Number.NaN)
  if (!(ms >= LEAST_FORGET_MS && ms <= MOST_FORGET_MS))
    report({ path: name, found: formatValue(value), message: 'must be a duration from 10s to 7d, such as 15m' })
  return ms
}

function readSecret({ value, name, isWritten }: Said, report: ReportMistake, least = LEAST_SECRET): string | undefined {
  if (!isWritten) return undefined
  if (value.length < least) {
    const message = `must have at least ${least} characters; make one with "openssl rand -hex 32"`
    report({ path: name, found: `${value.length} characters, not shown`, message })
  }
  return value
}

/** Whatever the text is: neither the part before an @ nor a query is shown, as a secret may be in it. */
function showAddress(value: string): string {
  return formatValue(value.replace(/^.*@/s, '***@').replace(/[?#].*$/s, '?…'))
}

function readUrl({ value, name, isWritten }: Said, report: ReportMistake): string | undefined {
  if (!isWritten) return undefined
  const url = URL.parse(value)
  const isHttp =
    url !== null && ['http:', 'https:'].includes(url.protocol) && url.username === '' && url.password === ''
  if (!isHttp) {
    report({ path: name, found: showAddress(value), message: 'must be an address such as "http://10.0.0.7:8081"' })
  }
  return value
}

/** What else a Redis URL must be, the store says. */
function readRedis(say: (name: keyof typeof OPTIONS) => Said, report: ReportMistake): RedisOptions | undefined {
  const [url, prefix] = [say('redisUrl'), say('redisPrefix')]
  if (!/^[\w.:-]{1,64}$/.test(prefix.value)) {
    const message = 'must be up to 64 letters, digits, and - _ . :'
    report({ path: prefix.name, found: formatValue(prefix.value), message })
  }
  return url.isWritten ? { url: url.value, prefix: prefix.value } : undefined
}

function readAdminToken(said: Said, report: ReportMistake): string | undefined {
  checkToken(said, report)
  return readSecret(said, report, LEAST_ADMIN_TOKEN)
}

function readUnleash(say: (name: keyof typeof OPTIONS) => Said, report: ReportMistake): UnleashOptions | undefined {
  const [url, token, adminToken] = [say('unleashUrl'), say('unleashToken'), say('unleashAdminToken')]
  const written = [url, token, adminToken].find(({ isWritten }) => isWritten)
  if (written === undefined) return undefined
  for (const { name, isWritten } of [url, token])
    if (!isWritten)
      report({ path: name, found: '', message: `is missing, as ${written.name} is set; write both or neither` })
  if (url.isWritten) checkUnleashUrl(url, report)
  for (const one of [token, adminToken]) checkToken(one, report)
  const environment = say('unleashEnvironment')
  return {
    url: url.value,
    token: token.value,
    appName: readText(say('unleashAppName'), report),
    environment: environment.isWritten ? readText(environment, report) : undefined,
    adminToken: adminToken.isWritten ? adminToken.value : undefined,
    project: readText(say('unleashProject'), report),
  }
}

/** A header's value: what is no visible ASCII was pasted by mistake. */
function checkToken({ value, name, isWritten }: Said, report: ReportMistake): void {
  if (!isWritten || /^[\x21-\x7e]+$/.test(value)) return
  report({ path: name, found: 'not shown', message: 'must be one token, without spaces or line ends' })
}

function checkUnleashUrl({ value, name }: Said, report: ReportMistake): void {
  const url = URL.parse(value)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    report({
      path: name,
      found: showAddress(value),
      message: 'must be the API’s address, such as "https://unleash.example.com/api"',
    })
  } else if (url.username !== '' || url.password !== '') {
    report({
      path: name,
      found: 'not shown',
      message: `must have no user and password; the token belongs in ${OPTIONS.unleashToken.variable}`,
    })
  }
}
