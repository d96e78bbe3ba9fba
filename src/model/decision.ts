// The decision for one request and its reason, which is also a metric label and a log value.
import type { HeaderList } from './request-head.ts'
import type { Side } from './route.ts'

/** The reasons of decisions, in the order in which `decide` checks them. */
export const REASONS = {
  unowned: 'no context owns the path: legacy',
  killed: 'the kill switch is on: legacy for every request',
  pinned: 'an operator has pinned the context to this side',
  'no-identity': 'nothing identifies the client, and the map keeps such requests on legacy',
  'flags-stale': 'no flags have been read yet, or the flags are too old for the context: legacy',
  'flag-missing': 'the flag does not exist: legacy',
  'flag-off': 'the flag is off for this client: legacy',
  'service-unavailable': 'the flag is on, but no address of the service is available: legacy',
  'flag-on': 'the flag is on for this client: service',
  'fell-back': 'the flag is on for this client, but the service could not answer: legacy answered',
} as const satisfies Record<string, string>

export type Reason = keyof typeof REASONS

export type Decision = {
  readonly side: Side
  readonly reason: Reason
  /** Whether legacy may answer if the service cannot, and the attempt has changed nothing (see docs/adr). */
  readonly fallback: boolean
}

/** The identity of a client: the key that keeps it on one side. */
export type Identity = {
  readonly kind: 'user' | 'session' | 'anonymous' | 'address' | 'none'
  /** The user id, session id, anonymous id or client address; `''` for `none`. */
  readonly key: string
  /** The session id that a user has beside the user id; for a session alone it is `key`. */
  readonly session?: string | undefined
  /** The client's address: the first address in the chain of proxies that is not trusted. */
  readonly clientAddress: string
  /** Whether the client used TLS to the gateway or to a trusted proxy in front of it. */
  readonly secure: boolean
  readonly requestId: string
  /** Whether the anonymous id was created for this request, whose response then sets its cookie. */
  readonly isNew: boolean
  /** The claims of the verified token as header fields, the user id first; undefined without a verified token. */
  readonly verified?: HeaderList
}

/** The state of a flag for a client; `missing` and `stale` mean that it is not known. */
export type FlagAnswer = 'on' | 'off' | 'missing' | 'stale'

/** The Unleash context of a request: the same fields that a service behind the gateway uses. */
export type FlagContext = {
  userId?: string
  sessionId?: string
  remoteAddress?: string
  properties?: Record<string, string>
}
