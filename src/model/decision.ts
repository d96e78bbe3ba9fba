// What was decided for one request, and why. Reason is the metric label and the log word as well.
import type { HeaderList } from './request-head.ts'
import type { Side } from './route.ts'

/** Why a request goes to its side. One closed union, in the order in which `decide` asks. */
export const REASONS = {
  unowned: 'no context claims the path: it is the monolith’s',
  killed: 'the kill switch is on: everything is legacy’s',
  pinned: 'an operator has pinned the context to this side',
  'no-identity': 'nothing identifies the client and the config says such requests stay with legacy',
  'flags-stale': 'no flags have been read yet, or none for so long that the context asks for legacy: legacy',
  'flag-missing': 'the flag authority does not know the flag: legacy',
  'flag-off': 'the flag is off for this client: legacy',
  'service-unavailable': 'the flag is on, but no address of the service is available: legacy',
  'flag-on': 'the flag is on for this client: service',
  'fell-back': 'the flag is on for this client, but the service could not answer: legacy did',
} as const satisfies Record<string, string>

export type Reason = keyof typeof REASONS

export type Decision = {
  readonly side: Side
  readonly reason: Reason
  /** Whether legacy may answer if the service cannot and nothing was changed by trying (see docs/adr). */
  readonly fallback: boolean
}

/** Who is asking, as far as the canary cares: the key that keeps a person on one side. */
export type Identity = {
  readonly kind: 'user' | 'session' | 'anonymous' | 'address' | 'none'
  /** The user id, session id, anonymous id or client address; `''` for `none`. */
  readonly key: string
  /** The session id that a user has beside the user id; for a session alone it is `key`. */
  readonly session?: string | undefined
  /** The client's address after trusted proxies are peeled off. */
  readonly clientAddress: string
  /** Whether the client spoke TLS to the edge, be it to us or to a trusted proxy in front. */
  readonly secure: boolean
  readonly requestId: string
  /** The anonymous id was made for this request: the answer carries it as a cookie. */
  readonly isNew: boolean
  /** What a verified token says, as fields for either side, the user's id first; undefined where none was verified. */
  readonly verified?: HeaderList
}

/** What the flag authority says: `on` and `off` are answers, the others are the lack of one. */
export type FlagAnswer = 'on' | 'off' | 'missing' | 'stale'

/** The Unleash context of a request: the same fields that a service behind us would use. */
export type FlagContext = {
  userId?: string
  sessionId?: string
  remoteAddress?: string
  properties?: Record<string, string>
}
