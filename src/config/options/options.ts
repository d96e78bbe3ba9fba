// The options of a gateway: the command line and the environment, checked and merged.
import { dirname, join } from 'node:path'
import type { LogLevel } from '../../model/log-level.ts'
import { formatValue, type Mistake, type ReportMistake } from '../mistake.ts'
import { type AdminJwtOptions, readAdminJwt } from './admin-jwt.ts'
import { OPTIONS, type OptionFacts, type OptionName, type RawOptions } from './option-table.ts'
import {
  type OptionLookup,
  type OptionValue,
  readAdminToken,
  readForgetAfter,
  readHost,
  readLogLevel,
  readMetricsToken,
  readMilliseconds,
  readName,
  readNames,
  readPort,
  readRanges,
  readSecret,
  readSwitch,
  readText,
  readUrl,
} from './read-option.ts'
import { readUnleash, type UnleashOptions } from './unleash-options.ts'

/** The options of a gateway. Paths are relative to the working folder. */
export type Options = {
  /** Proxies in front of the admin port whose `X-Forwarded-For` is trusted: addresses and ranges. */
  readonly adminTrustedProxies: readonly string[]
  /** The token that a scrape must carry; undefined where every client of the admin port may scrape. */
  readonly metricsToken: string | undefined
  /** How long collected metrics are served before they are collected again. */
  readonly metricsCacheMs: number
  /** The file of the migration map. */
  readonly config: string
  readonly host: string
  readonly port: number
  readonly adminHost: string
  readonly adminPort: number
  /** Host names that the admin port accepts besides addresses and `localhost`. */
  readonly adminNames: readonly string[]
  /** The address by which the fleet and its operators reach the admin port; undefined for the address it listens on. */
  readonly adminUrl: string | undefined
  /** The token of the admin API; undefined where the gateway creates one, or accepts only signed tokens. */
  readonly adminToken: string | undefined
  /** How the admin API verifies signed tokens; undefined where it accepts none. */
  readonly adminJwt: AdminJwtOptions | undefined
  /** Whether every change over the admin API needs a reason. */
  readonly requireReason: boolean
  /** The file of the embedded flags; not read where `unleash` is set. */
  readonly flags: string
  readonly stateDir: string
  /** The Redis that keeps the shared state of a fleet; undefined for a single gateway, which keeps it in `stateDir`. */
  readonly redis: RedisOptions | undefined
  /** The name of this gateway in the fleet; undefined for an id in the state folder. */
  readonly name: string | undefined
  /** How long a silent gateway remains a member of the fleet, in milliseconds. */
  readonly forgetAfterMs: number
  /** A file, or `-` for standard output. */
  readonly accessLog: string
  readonly logLevel: LogLevel
  /** The key that signs anonymous ids; undefined where the gateway keeps its own in `stateDir`. */
  readonly cookieSecret: string | undefined
  /** Undefined for the embedded flags. */
  readonly unleash: UnleashOptions | undefined
  /** Whether the output in a terminal may have colours. */
  readonly color: boolean
}

type RedisOptions = {
  readonly url: string
  /** The prefix of all keys: the gateways of one fleet share it, and other fleets do not use it. */
  readonly prefix: string
}

type MergedOptions =
  | { readonly ok: true; readonly options: Options }
  | { readonly ok: false; readonly mistakes: readonly Mistake[] }

/**
 * Merges the options: the command line has priority over the environment, and the environment over the defaults. Reports every
 * mistake under the name that the option has in its source.
 */
export function mergeOptions(commandLine: RawOptions, environment: RawOptions): MergedOptions {
  const mistakes: Mistake[] = []
  const report = (mistake: Mistake) => void mistakes.push(mistake)
  const lookUp: OptionLookup = (name) => lookUpOption(name, commandLine, environment)
  const config = readText(lookUp('config'), report)
  const flags = lookUp('flags')
  const options: Options = {
    config,
    host: readHost(lookUp('host'), report),
    port: readPort(lookUp('port'), report),
    adminHost: readHost(lookUp('adminHost'), report),
    adminPort: readPort(lookUp('adminPort'), report),
    adminNames: readNames(lookUp('adminNames'), report),
    adminTrustedProxies: readRanges(lookUp('adminTrustedProxies'), report),
    metricsToken: readMetricsToken(lookUp('metricsToken'), lookUp('metricsTokenFile'), report),
    metricsCacheMs: readMilliseconds(lookUp('metricsCacheMs'), report),
    adminUrl: readUrl(lookUp('adminUrl'), report),
    adminToken: readAdminToken(lookUp('adminToken'), report),
    adminJwt: readAdminJwt(lookUp, report),
    requireReason: readSwitch(lookUp('requireReason'), report),
    flags: flags.isWritten ? readText(flags, report) : join(dirname(config), 'flags.json'),
    stateDir: readText(lookUp('stateDir'), report),
    redis: readRedis(lookUp, report),
    name: readName(lookUp('name'), report),
    forgetAfterMs: readForgetAfter(lookUp('forgetAfter'), report),
    accessLog: readText(lookUp('accessLog'), report),
    logLevel: readLogLevel(lookUp('logLevel'), report),
    cookieSecret: readSecret(lookUp('cookieSecret'), report),
    unleash: readUnleash(lookUp, report),
    color: (environment.noColor ?? '') === '',
  }
  if (options.port !== 0 && options.port === options.adminPort && options.host === options.adminHost) {
    const { value, name } = lookUp('adminPort')
    report({
      path: name,
      found: formatValue(value),
      message: 'is the port for clients as well; use another port for the admin listener',
    })
  }
  return mistakes.length === 0 ? { ok: true, options } : { ok: false, mistakes }
}

function lookUpOption(option: OptionName, commandLine: RawOptions, environment: RawOptions): OptionValue {
  const { flag, variable, fallback = '' }: OptionFacts = OPTIONS[option]
  const argument = commandLine[option]
  if (argument !== undefined) return { value: argument, name: flag ?? variable, isWritten: true }
  const setting = environment[option]
  if (setting !== undefined) return { value: setting, name: variable, isWritten: true }
  return { value: fallback, name: flag ?? variable, isWritten: false }
}

/** The store checks the rest of the URL when it connects. */
function readRedis(lookUp: OptionLookup, report: ReportMistake): RedisOptions | undefined {
  const [url, prefix] = [lookUp('redisUrl'), lookUp('redisPrefix')]
  if (!/^[\w.:-]{1,64}$/.test(prefix.value)) {
    const message = 'must be up to 64 letters, digits, and - _ . :'
    report({ path: prefix.name, found: formatValue(prefix.value), message })
  }
  return url.isWritten ? { url: url.value, prefix: prefix.value } : undefined
}
