// Reads an upstream: the monolith, or a service.
import { isIP } from 'node:net'
import { z } from 'zod'
import type { HealthCheck, HostPolicy, Side, Timeouts, TlsOptions, Upstream } from '../../model/route.ts'
import { formatValue, joinPath, type ReportMistake } from '../mistake.ts'
import { assertComplete, ownValue, readFields, readValue } from './fields.ts'
import { count, flag, healthPath, middleware, milliseconds, oneOf, origin, serverName } from './leaves.ts'
import { readHeaders } from './read-headers.ts'
import type { ValidUnowned } from './valid-config.ts'

const DEFAULT_TIMEOUTS: Timeouts = { connectMs: 2000, headersMs: 60_000, idleMs: 60_000, queueMs: 1000 }

/** Returns the upstream. Keys with a reported mistake are missing. */
export function readUpstream(
  written: unknown,
  path: string,
  side: Side,
  name: string,
  report: ReportMistake,
): Upstream {
  const fields = readFields(
    written,
    path,
    side === 'legacy' ? LEGACY : UPSTREAM,
    report,
    '{ url: "http://127.0.0.1:3001" }',
  )
  const urls = readUrls(fields, path, typeof written === 'object', report)
  return assertComplete<Upstream>({
    name,
    side,
    urls,
    connections: fields.connections,
    queue: fields.queue,
    reuse: fields.reuse,
    keepAliveMs: fields.keepAliveMs,
    timeouts: { ...DEFAULT_TIMEOUTS, ...readTimeouts(fields.timeouts, joinPath(path, 'timeouts'), report) },
    host: fields.host ?? defaultHost(side, urls),
    tls: readTls(fields.tls, joinPath(path, 'tls'), urls, report),
    health: readHealth(fields.health, joinPath(path, 'health'), report),
    allowEncodedSlashes: fields.allowEncodedSlashes,
    via: fields.via,
    bareLineFeeds: fields.bareLineFeeds,
  })
}

/** What `legacy` configures for the paths that no context owns. */
export function readUnowned(written: unknown, path: string, report: ReportMistake): ValidUnowned {
  // `readUpstream` reports a mistake in it.
  const functions = middleware.optional().safeParse(ownValue(written, 'middleware'))
  return {
    headers: readHeaders(ownValue(written, 'headers'), joinPath(path, 'headers'), report),
    middleware: functions.data ?? [],
  }
}

/** Returns only the timeouts that are written. */
export function readTimeouts(written: unknown, path: string, report: ReportMistake): Partial<Timeouts> | undefined {
  return written === undefined ? undefined : readFields(written, path, TIMEOUTS, report)
}

const UPSTREAM = {
  url: z.unknown(),
  urls: z.unknown(),
  health: z.unknown(),
  connections: count(1, 65_535).default(256),
  queue: count(0, 1_000_000).default(256),
  reuse: flag.default(true),
  keepAliveMs: milliseconds(1).default(4000),
  timeouts: z.unknown(),
  host: oneOf(['preserve', 'upstream']).optional(),
  tls: z.unknown(),
  allowEncodedSlashes: flag.default(false),
  via: flag.default(true),
  bareLineFeeds: flag.default(false),
} as const

/** `headers` and `middleware` apply to the paths that no context owns. */
const LEGACY = { ...UPSTREAM, headers: z.unknown(), middleware: middleware.optional() } as const

const TIMEOUTS = {
  connectMs: milliseconds(0).optional(),
  headersMs: milliseconds(0).optional(),
  idleMs: milliseconds(0).optional(),
  queueMs: milliseconds(0).optional(),
} as const

const URL_LIST = z
  .array(z.unknown(), { error: 'must be a list of addresses such as ["http://127.0.0.1:3001"]' })
  .nonempty({ error: 'must hold at least one address such as "http://127.0.0.1:3001"' })

function readUrls(
  written: { url?: unknown; urls?: unknown },
  path: string,
  isObject: boolean,
  report: ReportMistake,
): string[] {
  const { url, urls } = written
  if (url !== undefined && urls !== undefined) {
    report({ path, found: '', message: 'has both "url" and "urls"; keep one: "urls" for several addresses' })
  }
  if (url === undefined && urls === undefined && isObject) {
    report({ path, found: '', message: 'has no address; write "url", such as "http://127.0.0.1:3001", or "urls"' })
  }
  const origins = new Set<string>()
  const add = (address: unknown, where: string) => {
    const read = readValue(address, where, origin, report)
    if (read === undefined) return
    if (origins.has(read))
      report({ path: where, found: formatValue(address), message: 'is listed twice; leave one out' })
    origins.add(read)
  }
  if (url !== undefined) add(url, joinPath(path, 'url'))
  const list = urls === undefined ? [] : (readValue(urls, joinPath(path, 'urls'), URL_LIST, report) ?? [])
  for (const [index, address] of list.entries()) add(address, joinPath(joinPath(path, 'urls'), index))
  return [...origins]
}

/** A serverless platform routes by its own host name; a service in the own network needs the client's, for links and cookies. */
function defaultHost(side: Side, urls: readonly string[]): HostPolicy {
  return side === 'service' && urls.some((url) => isPublicName(new URL(url).hostname)) ? 'upstream' : 'preserve'
}

function isPublicName(hostname: string): boolean {
  if (hostname.startsWith('[') || isIP(hostname) !== 0) return false
  return hostname.includes('.') && !/\.(localhost|local|internal)\.?$/.test(hostname)
}

const HEALTH = {
  path: healthPath,
  intervalMs: milliseconds(1).default(5000),
  timeoutMs: milliseconds(1).optional(),
  healthyAfter: count(1, 1000).default(2),
  unhealthyAfter: count(1, 1000).default(3),
} as const

function readHealth(written: unknown, path: string, report: ReportMistake): HealthCheck | undefined {
  if (written === undefined) return undefined
  if (typeof written === 'string') {
    const healthyPath = readValue(written, path, healthPath, report)
    return assertComplete({ path: healthyPath, intervalMs: 5000, timeoutMs: 2000, healthyAfter: 2, unhealthyAfter: 3 })
  }
  const fields = readFields(written, path, HEALTH, report, '{ path: "/healthz" }')
  const { intervalMs = 5000, timeoutMs = Math.min(2000, intervalMs) } = fields
  if (timeoutMs > intervalMs) {
    const message = `must be at most intervalMs (${intervalMs}): an address has one check at a time`
    report({ path: joinPath(path, 'timeoutMs'), found: formatValue(timeoutMs), message })
  }
  return assertComplete<HealthCheck>({ ...fields, timeoutMs })
}

const PEM_OR_FILE = z
  .string({ error: 'must be PEM text, or the path of a PEM file relative to the config file' })
  .min(1, { error: 'must not be empty; write PEM text, or the path of a PEM file' })

const TLS = {
  ca: PEM_OR_FILE.optional(),
  cert: PEM_OR_FILE.optional(),
  key: PEM_OR_FILE.optional(),
  servername: serverName.optional(),
  rejectUnauthorized: flag.default(true),
} as const

function readTls(
  written: unknown,
  path: string,
  urls: readonly string[],
  report: ReportMistake,
): TlsOptions | undefined {
  if (written === undefined) return undefined
  const fields = readFields(written, path, TLS, report)
  if ((fields.cert === undefined) !== (fields.key === undefined)) {
    const [has, lacks] = fields.cert === undefined ? ['key', 'cert'] : ['cert', 'key']
    report({ path, found: '', message: `has "${has}" without "${lacks}"; write both, or neither` })
  }
  if (urls.length > 0 && !urls.some((url) => url.startsWith('https:'))) {
    report({
      path,
      found: '',
      message: 'applies only to addresses that begin with "https://"; write such an address, or leave "tls" out',
    })
  }
  return assertComplete<TlsOptions>(fields)
}
