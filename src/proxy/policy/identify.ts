// Identifies the client: the request id, the client's address, and the key that keeps a client on one side.
import { isIP } from 'node:net'
import type { VerifiedToken } from '../../auth/verify-token.ts'
import type { Identity } from '../../model/decision.ts'
import type { Random } from '../../model/ports.ts'
import type { RequestHead } from '../../model/request-head.ts'
import type { Route } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { ANONYMOUS_COOKIE, type AnonymousIds } from './anonymous-id.ts'

/** @param route its `anonymous` policy overrides the map's */
export type Identify = (head: RequestHead, snapshot: Snapshot, route?: Pick<Route, 'anonymous'>) => Identity

/** The first of user, session and anonymous id that the client has (docs/adr, what stickiness hashes). */
export function createIdentify(anonymousIds: AnonymousIds, random: Random): Identify {
  return (head, snapshot, route) => {
    const { identity: policy, trustsProxy } = snapshot
    const { fields, peerAddress } = head
    const isPeerTrusted = trustsProxy(peerAddress)
    const clientAddress =
      isPeerTrusted && fields.forwardedFor !== undefined
        ? clientOf(fields.forwardedFor, peerAddress, trustsProxy)
        : peerAddress
    const requestId =
      isPeerTrusted && fields.requestId !== undefined && REQUEST_ID.test(fields.requestId)
        ? fields.requestId
        : random.hex(16)
    const secure = isPeerTrusted && fields.forwardedProto !== undefined ? isHttps(fields.forwardedProto) : head.secure
    const session =
      policy.session !== undefined && fields.cookie !== undefined
        ? readCookie(fields.cookie, policy.session.cookie)
        : undefined

    if (fields.user !== undefined && fields.user !== '' && policy.user?.trusts(peerAddress)) {
      return { kind: 'user', key: fields.user, session, clientAddress, secure, requestId, isNew: false }
    }
    if (session !== undefined) {
      return { kind: 'session', key: session, session: undefined, clientAddress, secure, requestId, isNew: false }
    }
    switch (route?.anonymous ?? policy.anonymous) {
      case 'legacy':
        return { kind: 'none', key: '', session, clientAddress, secure, requestId, isNew: false }
      case 'ip':
        return { kind: 'address', key: clientAddress, session, clientAddress, secure, requestId, isNew: false }
      case 'cookie': {
        const cookie = fields.cookie === undefined ? undefined : readCookie(fields.cookie, ANONYMOUS_COOKIE)
        const id = cookie === undefined ? undefined : anonymousIds.read(cookie)
        const key = id ?? anonymousIds.make()
        return { kind: 'anonymous', key, session, clientAddress, secure, requestId, isNew: id === undefined }
      }
    }
  }
}

/** The identity of a request whose token is valid: the user that it names, with the session that the request has. */
export function identityOfUser(identity: Identity, { userId, fields }: VerifiedToken): Identity {
  const { clientAddress, secure, requestId } = identity
  const session = identity.kind === 'session' ? identity.key : identity.session
  return { kind: 'user', key: userId, session, clientAddress, secure, requestId, isNew: false, verified: fields }
}

const REQUEST_ID = /^[\w.:+/=@-]{1,128}$/

function isHttps(proto: string): boolean {
  // The first value is the client's protocol; each trusted proxy has appended its own.
  return /^\s*https\b/i.test(proto)
}

/**
 * The client in an X-Forwarded-For list: from the right, the first address that is not a trusted proxy. A client can
 * forge everything to the left of it.
 */
export function clientOf(list: string, peerAddress: string, trusts: (address: string) => boolean): string {
  let client = peerAddress
  const entries = list.split(',')
  for (let i = entries.length - 1; i >= 0; i--) {
    const address = addressOf((entries[i] as string).trim())
    if (address === undefined) return client
    client = address
    if (!trusts(address)) return client
  }
  return client
}

/** Some proxies append a port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function addressOf(entry: string): string | undefined {
  if (isIP(entry) !== 0) return entry
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::\d{1,5})?$/.exec(entry)
  const address = match?.[1] ?? match?.[2]
  return address !== undefined && isIP(address) !== 0 ? address : undefined
}

/** The value of a cookie in a Cookie line (RFC 6265 section 4.2.1): the first of that name, without its quotes. */
export function readCookie(line: string, name: string): string | undefined {
  for (let from = 0; from < line.length; ) {
    const start = line.indexOf(name, from)
    if (start < 0) return undefined
    const afterName = start + name.length
    if (isCookieStart(line, start) && line.charCodeAt(afterName) === 0x3d) {
      const end = line.indexOf(';', afterName)
      const value = line.slice(afterName + 1, end < 0 ? line.length : end).trim()
      const unquoted = value.length > 1 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value
      return unquoted === '' ? undefined : unquoted
    }
    from = afterName
  }
  return undefined
}

/** A cookie begins at the start of the line or after `;` and spaces. */
function isCookieStart(line: string, start: number): boolean {
  let i = start - 1
  while (i >= 0 && line.charCodeAt(i) === 0x20) i--
  return i < 0 || line.charCodeAt(i) === 0x3b
}
