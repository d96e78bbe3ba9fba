// The events of the gateway. Each event has one function, which owns its counters, labels and log line. This file has the
// types; the folder events/ has the effects on the metrics, the access log and the application log.
import type { Decision, Identity } from '../model/decision.ts'
import type { Failure } from '../model/failures.ts'
import type { Outcome } from '../model/outcome.ts'
import type { RequestHead } from '../model/request-head.ts'
import type { Route, Side } from '../model/route.ts'
import type { ShadowOutcome, ShadowReason } from '../model/shadow.ts'

/** A finished request. Times are milliseconds of the monotonic clock. */
export type RequestFacts = {
  readonly arrivedAt: number
  readonly finishedAt: number
  readonly head: RequestHead
  readonly identity: Identity
  readonly route: Route
  readonly decision: Decision
  readonly outcome: Outcome
  /** The trace that the upstream received; if it is undefined, the log has the trace of the client. */
  readonly traceId?: string | undefined
}

/** A request that was refused before it became a `RequestHead`. */
export type RefusalFacts = {
  readonly arrivedAt: number
  readonly finishedAt: number
  readonly failure: Failure
  readonly requestId: string
  readonly peerAddress: string
  /** Undefined if they could not be read. The target can contain any bytes that a client sends. */
  readonly method: string | undefined
  readonly target: string | undefined
  /** The exact mistake, for the log. */
  readonly detail: string | undefined
}

/** A request that no upstream received, because the gateway or a middleware of its route answered it. */
export type AnswerFacts = {
  readonly arrivedAt: number
  readonly finishedAt: number
  readonly head: RequestHead
  readonly by: 'middleware' | 'options'
  readonly status: number
  readonly identity?: Identity
  readonly route?: Route
}

type UpgradeFacts = RequestFacts & {
  /** Bytes from the client and to the client after the switch. */
  readonly bytesIn: number
  readonly bytesOut: number
}

export type Events = {
  /** Also reports a flag that the flag authority does not have: counts it each time, logs it once until flags are read. */
  readonly requestFinished: (facts: RequestFacts) => void
  readonly requestAnswered: (facts: AnswerFacts) => void
  readonly requestRefused: (facts: RefusalFacts) => void
  /** A tunnel is open (101 was sent): counted as a request. A refused upgrade is `requestFinished`. */
  readonly upgradeOpened: (facts: RequestFacts) => void
  /** Writes the line of the tunnel to the access log, with its bytes and its duration. */
  readonly upgradeClosed: (facts: UpgradeFacts) => void
  readonly configApplied: (facts: { file: string; edition: number; contexts: number; routes: number }) => void
  /** The config is in use, but the next version will reject it for these mistakes. */
  readonly configDeprecated: (facts: { file: string; mistakes: readonly string[] }) => void
  /** The config is in use, but an operator should read these warnings. */
  readonly configWarned: (facts: { file: string; warnings: readonly string[] }) => void
  /** Inside Express: the map is not used, and the application answers every request. */
  readonly embeddingFailed: (facts: { mistakes: readonly string[] }) => void
  readonly configRejected: (facts: { file: string; mistakes: readonly string[] }) => void
  readonly flagsRead: (facts: { source: string; flags: number }) => void
  /** @param facts.isRefused the token was rejected: an operator must replace it */
  readonly flagsFailed: (facts: { source: string; error: unknown; isRefused?: boolean }) => void
  /** The keys of an issuer were read, for the first time or again. */
  readonly keysRead: (facts: { uri: string; keys: number }) => void
  readonly keysFailed: (facts: { uri: string; error: unknown }) => void
  /** A newer shared state decides requests from now on. */
  readonly stateApplied: (facts: { generation: number; killed: boolean; pins: number; flags: number }) => void
  /** An operator's change was made or refused, with the fields of its audit entry. */
  readonly changeFinished: (facts: {
    verb: string
    context: string | null
    by: string
    reason: string | null
    result: string
    before: unknown
    after: unknown
    detail: string | null
  }) => void
  /** The store of the shared state cannot be reached, or can be reached again. */
  readonly storeDisconnected: (facts: { location: string; why: string }) => void
  readonly storeReconnected: (facts: { location: string; afterMs: number }) => void
  /** The store had lost acknowledged changes, and this gateway has restored them. */
  readonly storeRestored: (facts: {
    location: string
    generation: number
    found: number
    entries: number
    lost: readonly string[]
  }) => void
  /** A gateway of this name has run before, but the state folder is empty. */
  readonly stateFolderLost: (facts: { folder: string; generation: number }) => void
  readonly storeFailed: (facts: { location: string; error: unknown }) => void
  /** This many requests are to be copied to the other side and compared. `shadowEnded` follows for each of them. */
  readonly shadowOpened: (facts: { context: string; count: number }) => void
  readonly shadowEnded: (facts: {
    context: string
    outcome: ShadowOutcome
    reason: ShadowReason
    count: number
  }) => void
  /** The copy has a response too. The times are milliseconds until the response. */
  readonly shadowAnswered: (facts: { context: string; answeredBy: Side; primaryMs: number; copyMs: number }) => void
  /** The comparing thread had to be ended, or ended by itself. Its `comparisons` are lost. */
  readonly shadowThreadLost: (facts: { why: string; comparisons: number }) => void
  /** A service has not confirmed that it supports dry runs: it receives no copy of a request that writes. */
  readonly shadowNotDryRun: (facts: { context: string; origin: string; why: string }) => void
  /** Comparisons could not be written. They stay in memory until they can be. */
  readonly comparisonsNotSaved: (facts: { error: unknown }) => void
  /** The kill file is rejected for this problem; undefined if it is valid or absent again. */
  readonly killFileRefused: (facts: { problem: string | undefined }) => void
  readonly addressEjected: (facts: { upstream: string; address: string; why: string; forMs: number }) => void
  readonly addressReturned: (facts: { upstream: string; address: string }) => void
  readonly listening: (facts: { what: 'gateway' | 'admin'; address: string; port: number }) => void
  /** The gateway has created a token for its admin API. `isKept`: the file contains it; otherwise only this process has it. */
  readonly adminTokenCreated: (facts: { file: string; isKept: boolean }) => void
  readonly drainStarted: (facts: { signal: string; noticeMs: number; limitMs: number }) => void
  readonly drainFinished: (facts: {
    /** Requests and tunnels that were aborted at the limit. */
    inFlight: number
    /** Event streams to clients, and to operators, that were ended after an event. */
    eventStreams: number
    adminStreams: number
    tookMs: number
  }) => void
  /** The disk refuses writes of the state folder, or accepts them again. */
  readonly stateFolderFailed: (facts: { folder: string; error: unknown }) => void
  readonly stateFolderRecovered: (facts: { folder: string; afterMs: number }) => void
  /** The group of the state folder, or all users, can write there; its permissions in octal. */
  readonly stateFolderOpen: (facts: { folder: string; mode: string }) => void
  /** A file that must survive the process could not be written. */
  readonly stateNotSaved: (facts: { file: string; error: unknown }) => void
  /** The limit of open files is too low for the connections that the map allows. */
  readonly openFilesLow: (facts: { limit: number; needed: number }) => void
  /** A listener failed to accept a connection; it keeps listening. */
  readonly acceptFailed: (facts: { what: 'gateway' | 'admin'; error: unknown }) => void
  /** An internal error of the gateway. The client of the request receives 500. */
  readonly bug: (facts: { where: string; error: unknown }) => void
}
