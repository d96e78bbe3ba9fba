// One function per event: it owns the counter, the labels and the log line. This file is the vocabulary;
// create-events.ts says what each one does to the metrics, the access log and the application log.
import type { Decision, Identity } from '../model/decision.ts'
import type { Failure } from '../model/failures.ts'
import type { Outcome } from '../model/outcome.ts'
import type { RequestHead } from '../model/request-head.ts'
import type { Route, Side } from '../model/route.ts'
import type { ShadowOutcome, ShadowReason } from '../model/shadow.ts'

/** All that is known of one request when it is over. Times are `Clock.now()` milliseconds. */
export type RequestFacts = {
  readonly arrivedAt: number
  readonly finishedAt: number
  readonly head: RequestHead
  readonly identity: Identity
  readonly route: Route
  readonly decision: Decision
  readonly outcome: Outcome
  /** The trace that was sent upstream; without it the client's own, if it sent one, is logged. */
  readonly traceId?: string | undefined
}

/** A request that was turned away before it became a `RequestHead`. */
export type RefusalFacts = {
  readonly arrivedAt: number
  readonly finishedAt: number
  readonly failure: Failure
  readonly requestId: string
  readonly peerAddress: string
  /** As far as they are known; the target may be anything a client can send. */
  readonly method: string | undefined
  readonly target: string | undefined
  /** What exactly was wrong, in our words: for the log. */
  readonly detail: string | undefined
}

/** A request that went nowhere because the gateway, or a middleware of its route, answered it. */
export type AnswerFacts = {
  readonly arrivedAt: number
  readonly finishedAt: number
  readonly head: RequestHead
  readonly by: 'middleware' | 'options'
  readonly status: number
  readonly identity?: Identity
  readonly route?: Route
}

export type UpgradeFacts = RequestFacts & {
  /** Bytes from the client and to the client after the switch. */
  readonly bytesIn: number
  readonly bytesOut: number
}

export type Events = {
  /** Also tells of a flag that the authority does not know: counted each time, logged once until it is known again. */
  readonly requestFinished: (facts: RequestFacts) => void
  readonly requestAnswered: (facts: AnswerFacts) => void
  readonly requestRefused: (facts: RefusalFacts) => void
  /** A tunnel was opened (101 was sent): counted as a request. An upgrade that was refused is `requestFinished`. */
  readonly upgradeOpened: (facts: RequestFacts) => void
  /** The access log's line of the tunnel, with its bytes and the time it was open. */
  readonly upgradeClosed: (facts: UpgradeFacts) => void
  readonly configApplied: (facts: { file: string; edition: number; contexts: number; routes: number }) => void
  /** The config is in use, and a later version will refuse it for these mistakes. */
  readonly configDeprecated: (facts: { file: string; mistakes: readonly string[] }) => void
  /** The config can be used, and an operator should still read this. */
  readonly configWarned: (facts: { file: string; warnings: readonly string[] }) => void
  /** Inside Express: the map is not used, and the application answers every request. */
  readonly embeddingFailed: (facts: { mistakes: readonly string[] }) => void
  readonly configRejected: (facts: { file: string; mistakes: readonly string[] }) => void
  readonly flagsRead: (facts: { source: string; flags: number }) => void
  /** @param facts.isRefused waiting does not help: somebody must mend the token */
  readonly flagsFailed: (facts: { source: string; error: unknown; isRefused?: boolean }) => void
  /** The keys of an issuer were read, or read anew. */
  readonly keysRead: (facts: { uri: string; keys: number }) => void
  readonly keysFailed: (facts: { uri: string; error: unknown }) => void
  /** A newer shared state decides requests from now on. */
  readonly stateApplied: (facts: { generation: number; killed: boolean; pins: number; flags: number }) => void
  /** Somebody changed what decides, or tried to: the same words that the audit log keeps. */
  readonly changed: (facts: {
    verb: string
    context: string | null
    by: string
    reason: string | null
    result: string
    before: unknown
    after: unknown
    detail: string | null
  }) => void
  /** The store of the shared state cannot be reached, or can be again. */
  readonly storeCutOff: (facts: { location: string; why: string }) => void
  readonly storeReached: (facts: { location: string; afterMs: number }) => void
  /** The store came back without what was acknowledged, and got it from this gateway. */
  readonly storeRestored: (facts: {
    location: string
    generation: number
    found: number
    entries: number
    lost: readonly string[]
  }) => void
  /** A gateway of this name has run before, and this one has none of its files. */
  readonly stateFolderLost: (facts: { folder: string; generation: number }) => void
  readonly storeTroubled: (facts: { location: string; error: unknown }) => void
  /** So many requests are to be copied to the other side and compared: `shadowEnded` follows for each. */
  readonly shadowOpened: (facts: { context: string; count: number }) => void
  readonly shadowEnded: (facts: {
    context: string
    outcome: ShadowOutcome
    reason: ShadowReason
    count: number
  }) => void
  /** The copy was answered too: how long each side took, in milliseconds. */
  readonly shadowAnswered: (facts: { context: string; answeredBy: Side; primaryMs: number; copyMs: number }) => void
  /** The comparing thread had to be ended, or ended by itself, with so many comparisons. */
  readonly shadowThreadLost: (facts: { why: string; comparisons: number }) => void
  /** A service has not agreed to act upon copies only as if: none that changes anything is sent to it. */
  readonly shadowNotDryRun: (facts: { context: string; origin: string; why: string }) => void
  /** What was compared could not be written; it is kept until it can. */
  readonly comparisonsNotKept: (facts: { error: unknown }) => void
  /** The kill file is refused, and why; undefined when it is valid or absent again. */
  readonly killFileRefused: (facts: { problem: string | undefined }) => void
  readonly addressEjected: (facts: { upstream: string; address: string; why: string; forMs: number }) => void
  readonly addressReturned: (facts: { upstream: string; address: string }) => void
  readonly listening: (facts: { what: 'gateway' | 'admin'; address: string; port: number }) => void
  /** The gateway has made a token for its admin API. `isKept`: it is in the file; otherwise only this process has it. */
  readonly adminTokenMade: (facts: { file: string; isKept: boolean }) => void
  readonly drainStarted: (facts: { signal: string; noticeMs: number; limitMs: number }) => void
  readonly drainFinished: (facts: {
    /** Requests and tunnels that were cut at the limit. */
    inFlight: number
    /** Streams of events to clients, and of changes to operators, that were ended behind an event. */
    eventStreams: number
    adminStreams: number
    tookMs: number
  }) => void
  /** The disk refuses writes of the state folder, or accepts them again. */
  readonly stateFolderFailed: (facts: { folder: string; error: unknown }) => void
  readonly stateFolderRecovered: (facts: { folder: string; afterMs: number }) => void
  /** The group of the state folder, or all users, can write there; its permissions in octal. */
  readonly stateFolderOpen: (facts: { folder: string; mode: string }) => void
  /** What should outlive the process could not be written. */
  readonly stateNotKept: (facts: { file: string; error: unknown }) => void
  /** The limit of open files is lower than the connections that the map allows need. */
  readonly openFilesLow: (facts: { limit: number; needed: number }) => void
  /** A listener failed to accept a connection; it keeps listening. */
  readonly acceptFailed: (facts: { what: 'gateway' | 'admin'; error: unknown }) => void
  /** Something that must not happen did; the request that met it was answered 500. */
  readonly bug: (facts: { where: string; error: unknown }) => void
}
