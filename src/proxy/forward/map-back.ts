// Maps response fields that contain an upstream's address or a rewritten path back to the public address. Pure functions.
import type { IncomingHttpHeaders } from 'node:http'
import type { Identity } from '../../model/decision.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { InverseRewrite, Route, Upstream } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { isHost } from '../policy/read-head.ts'

/** The public address of the request, and the upstream that answered. */
export type PublicView = {
  readonly upstream: Upstream
  /** Inverses of the rewrites, the route's own first; empty if the path was not rewritten. */
  readonly unrewrites: readonly InverseRewrite[]
  readonly scheme: 'http' | 'https'
  /** Host and port as the client used them; `''` without a Host field. */
  readonly authority: string
}

export function publicView(
  head: RequestHead,
  identity: Identity,
  snapshot: Snapshot,
  route: Route,
  upstream: Upstream,
): PublicView {
  const forwarded = snapshot.trustsProxy(head.peerAddress)
    ? head.fields.forwardedHost?.split(',')[0]?.trim()
    : undefined
  return {
    upstream,
    unrewrites: upstream.side === 'service' ? route.inverseRewrites : [],
    scheme: identity.secure ? 'https' : 'http',
    // A trusted proxy may pass on a field that the client wrote, so only a valid host may become part of a URL.
    authority: forwarded !== undefined && isHost(forwarded) ? forwarded : head.host,
  }
}

/**
 * Maps `Location`, `Content-Location` and `Set-Cookie` back, in place.
 *
 * @param fields `[name, value, ...]`
 */
export function mapFieldsBack(fields: string[], view: PublicView): void {
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase()
    const value = fields[i + 1] as string
    if (name === 'location' || name === 'content-location') fields[i + 1] = mapReference(value, view)
    else if (name === 'set-cookie') fields[i + 1] = mapCookie(value, view)
  }
}

/** As `mapFieldsBack`, for Node's object of fields with names in lower case. */
export function mapHeadersBack(headers: IncomingHttpHeaders, view: PublicView): void {
  const { location, 'content-location': contentLocation, 'set-cookie': cookies } = headers
  if (location !== undefined) headers.location = mapReference(location, view)
  if (contentLocation !== undefined) headers['content-location'] = mapReference(contentLocation, view)
  if (cookies !== undefined) headers['set-cookie'] = cookies.map((cookie) => mapCookie(cookie, view))
}

/** Maps a URI reference (RFC 3986 section 4.1). References to other hosts and relative paths stay unchanged. */
export function mapReference(reference: string, view: PublicView): string {
  const match = ABSOLUTE.exec(reference)
  if (match === null) return reference.startsWith('/') ? mapTarget(reference, view.unrewrites) : reference
  const [, scheme, writtenAuthority = '', rest = ''] = match
  const authority = canonical(writtenAuthority.slice(writtenAuthority.lastIndexOf('@') + 1), scheme ?? view.scheme)
  if (!authoritiesOf(view.upstream).has(authority)) {
    // With `host: 'preserve'` the upstream gets the client's Host and builds its references on it.
    if (authority !== canonical(view.authority, scheme ?? view.scheme)) return reference
    return reference.slice(0, reference.length - rest.length) + mapTarget(rest, view.unrewrites)
  }
  const target = mapTarget(rest, view.unrewrites)
  if (view.authority === '') return withOneSlash(target.startsWith('/') ? target : `/${target}`)
  return `${scheme === undefined ? '' : `${view.scheme}:`}//${view.authority}${target}`
}

/** Maps Domain and Path of a Set-Cookie value (RFC 6265 section 5.2); all other bytes stay unchanged. */
export function mapCookie(cookie: string, { upstream, unrewrites, authority }: PublicView): string {
  const [pair = '', ...attributes] = cookie.split(';')
  let isChanged = false
  const mappedAttributes = attributes.flatMap((attribute) => {
    const [, name = '', value = ''] = /^\s*([^=]*?)\s*=\s*(.*?)\s*$/s.exec(attribute) ?? []
    const lower = name.toLowerCase()
    if (lower === 'domain') {
      const host = value.replace(/^\./, '').toLowerCase()
      if (host === hostOf(authority) || !hostsOf(upstream).has(host)) return [attribute]
      isChanged = true
      return []
    }
    if (lower !== 'path' || value === '/') return [attribute]
    const path = mapPath(value, unrewrites)
    if (path === value) return [attribute]
    isChanged = true
    return [` ${name}=${path}`]
  })
  return isChanged ? [pair, ...mappedAttributes].join(';') : cookie
}

const ABSOLUTE = /^(?:(https?):)?\/\/([^/?#\\]*)(.*)$/is

function mapTarget(target: string, unrewrites: readonly InverseRewrite[]): string {
  if (unrewrites.length === 0) return target
  const end = target.search(/[?#]/)
  const path = end === -1 ? target : target.slice(0, end)
  return mapPath(path, unrewrites) + target.slice(path.length)
}

function mapPath(path: string, unrewrites: readonly InverseRewrite[]): string {
  const mapped = unrewrite(path, unrewrites)
  return mapped === path ? path : withOneSlash(mapped)
}

/**
 * The attack: behind a removed prefix the path may begin with two slashes. `/app//evil.example` must not become
 * `//evil.example`, which names another host (RFC 3986 section 4.2). Browsers read a backslash as a slash and remove tabs.
 */
function withOneSlash(path: string): string {
  return path.replace(/^\/[\t/\\]+/, '/')
}

function unrewrite(path: string, unrewrites: readonly InverseRewrite[]): string {
  for (const { expression, names, parts } of unrewrites) {
    const match = expression.exec(path)
    if (match === null) continue
    return parts.map((part) => ('text' in part ? part.text : (match[names.indexOf(part.param) + 1] ?? ''))).join('')
  }
  for (const { from, to } of unrewrites) {
    if (from !== '' && (path === from || path.startsWith(`${from}/`))) return to + path.slice(from.length) || '/'
  }
  return path
}

/** In lower case, without the scheme's default port. */
function canonical(authority: string, scheme: string): string {
  const lower = authority.toLowerCase()
  return lower.replace(scheme.toLowerCase() === 'https' ? /:(?:0*443)?$/ : /:(?:0*80)?$/, '')
}

const authorities = new WeakMap<Upstream, ReadonlySet<string>>()

function authoritiesOf(upstream: Upstream): ReadonlySet<string> {
  let hosts = authorities.get(upstream)
  if (hosts === undefined) {
    hosts = new Set(upstream.urls.map((url) => new URL(url).host))
    authorities.set(upstream, hosts)
  }
  return hosts
}

function hostsOf(upstream: Upstream): ReadonlySet<string> {
  return new Set([...authoritiesOf(upstream)].map(hostOf))
}

function hostOf(authority: string): string {
  return authority.replace(/:\d*$/, '')
}
