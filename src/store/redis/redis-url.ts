// The forms of a Redis URL.

export type HostAndPort = { readonly host: string; readonly port: number }

type RedisAccess = {
  readonly isTls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  /** The URL without credentials, for messages. */
  readonly shown: string
}

export type RedisAddress = RedisAccess &
  (
    | { readonly kind: 'single'; readonly node: HostAndPort; readonly db: number }
    | {
        readonly kind: 'sentinel'
        readonly sentinels: readonly HostAndPort[]
        /** The name of the master in the Sentinels. */
        readonly master: string
        readonly db: number
        readonly sentinelUsername: string | undefined
        readonly sentinelPassword: string | undefined
      }
    | { readonly kind: 'cluster'; readonly nodes: readonly HostAndPort[] }
  )

/** The message names the mistake and the correct form. It never contains the password. */
export class InvalidRedisUrl extends Error {
  constructor(shown: string, why: string) {
    super(`REDIS_URL "${shown}" ${why}`)
    this.name = 'InvalidRedisUrl'
  }
}

/** Only one @ is allowed, behind the password: otherwise a part of a password that contains a / would pass for a host. */
const PARTS =
  /^(?<scheme>rediss?(?:\+(?:sentinel|cluster))?):\/\/(?:(?<access>[^/?#]*)@)?(?<hosts>[^@/?#]+)(?:\/(?<path>[^?#@]*))?(?:\?(?<query>[^#@]*))?$/
const FORMS =
  'is not a Redis URL; write redis://user:password@host:6379/0, rediss://… for TLS, redis+sentinel://host:26379,host:26379/master-name or redis+cluster://host:6379,host:6379'

/**
 * Reads a Redis URL:
 *
 * - `redis://[user:password@]host[:6379][/db]`
 * - `redis+sentinel://[user:password@]host[:26379],host[:26379]/master-name[/db][?sentinelUsername=…&sentinelPassword=…]`,
 *   where user and password are for Redis itself
 * - `redis+cluster://[user:password@]host[:6379],host[:6379]`; some of the nodes are enough, they report the others
 *
 * `rediss`, `rediss+sentinel` and `rediss+cluster` use TLS, with Sentinels too. In users and passwords `@`, `/`, `:`, `%`, `?`
 * and `#` are written as in every URL: `%40`.
 *
 * @throws {InvalidRedisUrl}
 */
export function parseRedisUrl(url: string): RedisAddress {
  const { scheme = '', access = '', hosts = '', path = '', query = '' } = PARTS.exec(url)?.groups ?? {}
  const shown = scheme === '' ? hideCredentials(url) : `${scheme}://${hosts}${path === '' ? '' : `/${path}`}`
  if (scheme === '') throw new InvalidRedisUrl(shown, FORMS)
  const [user = '', ...rest] = access.split(':')
  const shared: RedisAccess = {
    isTls: scheme.startsWith('rediss'),
    username: decodeCredential(user, shown) || undefined,
    password: decodeCredential(rest.join(':'), shown) || undefined,
    shown,
  }
  if (scheme.endsWith('+sentinel')) return parseSentinelUrl(shared, hosts, path, query)
  if (query !== '')
    throw new InvalidRedisUrl(shown, 'has a query, which only a URL of Sentinels may have; leave it out')
  if (scheme.endsWith('+cluster')) return parseClusterUrl(shared, hosts, path)
  const [node, ...others] = parseHosts(hosts, 6379, shown)
  if (node === undefined || others.length > 0)
    throw new InvalidRedisUrl(
      shown,
      'has several hosts; write redis+sentinel:// for Sentinels or redis+cluster:// for a Cluster',
    )
  return { ...shared, kind: 'single', node, db: parseDatabase(path, shown) }
}

function parseSentinelUrl(access: RedisAccess, hosts: string, path: string, query: string): RedisAddress {
  const { shown } = access
  const [master = '', db = '', ...others] = path.split('/')
  if (master === '' || others.length > 0)
    throw new InvalidRedisUrl(
      shown,
      'must name the master after the hosts, such as redis+sentinel://host:26379/mymaster',
    )
  const settings = new URLSearchParams(query)
  const unknown = [...settings.keys()].find((key) => key !== 'sentinelUsername' && key !== 'sentinelPassword')
  if (unknown !== undefined)
    throw new InvalidRedisUrl(shown, 'may have sentinelUsername and sentinelPassword in its query and nothing else')
  return {
    ...access,
    kind: 'sentinel',
    sentinels: parseHosts(hosts, 26379, shown),
    master: decodeCredential(master, shown),
    db: parseDatabase(db, shown),
    sentinelUsername: settings.get('sentinelUsername') ?? undefined,
    sentinelPassword: settings.get('sentinelPassword') ?? undefined,
  }
}

function parseClusterUrl(access: RedisAccess, hosts: string, path: string): RedisAddress {
  if (path !== '' && path !== '0')
    throw new InvalidRedisUrl(access.shown, 'names a database, and a Cluster has only one; end it after the hosts')
  return { ...access, kind: 'cluster', nodes: parseHosts(hosts, 6379, access.shown) }
}

function parseHosts(hosts: string, defaultPort: number, shown: string): HostAndPort[] {
  return hosts.split(',').map((text) => {
    const { six, name, port } =
      /^(?:\[(?<six>[0-9a-f:.]+)\]|(?<name>[^[\]:\s]+))(?::(?<port>\d{1,5}))?$/i.exec(text)?.groups ?? {}
    const host = six ?? name
    const number = port === undefined ? defaultPort : Number(port)
    if (host === undefined || number < 1 || number > 65535)
      throw new InvalidRedisUrl(
        shown,
        `has "${text}" where a host and a port such as redis.internal:${defaultPort} should be`,
      )
    return { host, port: number }
  })
}

function parseDatabase(text: string, shown: string): number {
  if (text === '') return 0
  if (!/^\d{1,4}$/.test(text)) throw new InvalidRedisUrl(shown, 'must end with the number of a database, such as /0')
  return Number(text)
}

function decodeCredential(text: string, shown: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new InvalidRedisUrl(shown, 'has a "%" in its user or password that begins no escape; write %25')
  }
}

/** For a text that is not a Redis URL: the part before an @ and a query may contain a password. */
function hideCredentials(url: string): string {
  const separatorIndex = url.lastIndexOf('@')
  return (separatorIndex < 0 ? url : `…${url.slice(separatorIndex)}`).replace(/[?#].*$/s, '…')
}
