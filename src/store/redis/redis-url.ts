// The forms of a Redis URL.

export type HostAndPort = { readonly host: string; readonly port: number }

type Access = {
  readonly isTls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  /** The URL as it may be shown: without credentials. */
  readonly shown: string
}

export type RedisAddress = Access &
  (
    | { readonly kind: 'single'; readonly node: HostAndPort; readonly db: number }
    | {
        readonly kind: 'sentinel'
        readonly sentinels: readonly HostAndPort[]
        /** What the Sentinels call the master. */
        readonly master: string
        readonly db: number
        readonly sentinelUsername: string | undefined
        readonly sentinelPassword: string | undefined
      }
    | { readonly kind: 'cluster'; readonly nodes: readonly HostAndPort[] }
  )

/** Its message says what is wrong and how it is written, and never what the password is. */
export class NotARedisUrl extends Error {
  constructor(shown: string, why: string) {
    super(`REDIS_URL "${shown}" ${why}`)
    this.name = 'NotARedisUrl'
  }
}

/** No @ but the one behind the password: of a password with a / in it, half would pass for a host. */
const PARTS =
  /^(?<scheme>rediss?(?:\+(?:sentinel|cluster))?):\/\/(?:(?<access>[^/?#]*)@)?(?<hosts>[^@/?#]+)(?:\/(?<path>[^?#@]*))?(?:\?(?<query>[^#@]*))?$/
const FORMS =
  'is not a Redis URL; write redis://user:password@host:6379/0, rediss://… for TLS, redis+sentinel://host:26379,host:26379/master-name or redis+cluster://host:6379,host:6379'

/**
 * Reads a Redis URL:
 *
 * - `redis://[user:password@]host[:6379][/db]`
 * - `redis+sentinel://[user:password@]host[:26379],host[:26379]/master-name[/db][?sentinelUsername=…&sentinelPassword=…]`,
 *   where user and password are those of Redis itself
 * - `redis+cluster://[user:password@]host[:6379],host[:6379]`; any of the nodes are enough, the rest is asked of them
 *
 * `rediss`, `rediss+sentinel` and `rediss+cluster` use TLS, with Sentinels too. In users and passwords `@`, `/`, `:`, `%`, `?`
 * and `#` are written as in every URL: `%40`.
 *
 * @throws {NotARedisUrl}
 */
export function parseRedisUrl(url: string): RedisAddress {
  const { scheme = '', access = '', hosts = '', path = '', query = '' } = PARTS.exec(url)?.groups ?? {}
  const shown = scheme === '' ? withoutAccess(url) : `${scheme}://${hosts}${path === '' ? '' : `/${path}`}`
  if (scheme === '') throw new NotARedisUrl(shown, FORMS)
  const [user = '', ...rest] = access.split(':')
  const shared: Access = {
    isTls: scheme.startsWith('rediss'),
    username: decoded(user, shown) || undefined,
    password: decoded(rest.join(':'), shown) || undefined,
    shown,
  }
  if (scheme.endsWith('+sentinel')) return sentinel(shared, hosts, path, query)
  if (query !== '') throw new NotARedisUrl(shown, 'has a query, which only a URL of Sentinels may have; leave it out')
  if (scheme.endsWith('+cluster')) return cluster(shared, hosts, path)
  const [node, ...others] = hostsOf(hosts, 6379, shown)
  if (node === undefined || others.length > 0)
    throw new NotARedisUrl(
      shown,
      'has several hosts; write redis+sentinel:// or redis+cluster:// if that is what they are',
    )
  return { ...shared, kind: 'single', node, db: dbOf(path, shown) }
}

function sentinel(access: Access, hosts: string, path: string, query: string): RedisAddress {
  const { shown } = access
  const [master = '', db = '', ...others] = path.split('/')
  if (master === '' || others.length > 0)
    throw new NotARedisUrl(shown, 'must name the master after the hosts, such as redis+sentinel://host:26379/mymaster')
  const settings = new URLSearchParams(query)
  const unknown = [...settings.keys()].find((key) => key !== 'sentinelUsername' && key !== 'sentinelPassword')
  if (unknown !== undefined)
    throw new NotARedisUrl(shown, 'may have sentinelUsername and sentinelPassword in its query and nothing else')
  return {
    ...access,
    kind: 'sentinel',
    sentinels: hostsOf(hosts, 26379, shown),
    master: decoded(master, shown),
    db: dbOf(db, shown),
    sentinelUsername: settings.get('sentinelUsername') ?? undefined,
    sentinelPassword: settings.get('sentinelPassword') ?? undefined,
  }
}

function cluster(access: Access, hosts: string, path: string): RedisAddress {
  if (path !== '' && path !== '0')
    throw new NotARedisUrl(access.shown, 'names a database, and a Cluster has only one; end it after the hosts')
  return { ...access, kind: 'cluster', nodes: hostsOf(hosts, 6379, access.shown) }
}

function hostsOf(hosts: string, defaultPort: number, shown: string): HostAndPort[] {
  return hosts.split(',').map((text) => {
    const { six, name, port } =
      /^(?:\[(?<six>[0-9a-f:.]+)\]|(?<name>[^[\]:\s]+))(?::(?<port>\d{1,5}))?$/i.exec(text)?.groups ?? {}
    const host = six ?? name
    const number = port === undefined ? defaultPort : Number(port)
    if (host === undefined || number < 1 || number > 65535)
      throw new NotARedisUrl(
        shown,
        `has "${text}" where a host and a port such as redis.internal:${defaultPort} should be`,
      )
    return { host, port: number }
  })
}

function dbOf(text: string, shown: string): number {
  if (text === '') return 0
  if (!/^\d{1,4}$/.test(text)) throw new NotARedisUrl(shown, 'must end with the number of a database, such as /0')
  return Number(text)
}

function decoded(text: string, shown: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new NotARedisUrl(shown, 'has a "%" in its user or password that begins no escape; write %25')
  }
}

/** A text that is not a Redis URL: neither the part before an @ nor a query is shown, as a password may be in it. */
function withoutAccess(url: string): string {
  const at = url.lastIndexOf('@')
  return (at < 0 ? url : `…${url.slice(at)}`).replace(/[?#].*$/s, '…')
}
