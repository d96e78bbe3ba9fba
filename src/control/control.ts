// The verbs: everything that an operator can do, as the command line, the admin API and the pages call it. Each change
// says who, what and why, is on record, and answers when it has happened on every gateway.

import type { AuditPage, AuditQuery, ChainReport } from '../model/audit-log.ts'
import type { Field } from '../model/comparison.ts'
import type { FileRejection } from '../model/file-rejection.ts'
import type { FleetMember } from '../model/fleet.ts'
import type { FallbackPolicy, Side } from '../model/route.ts'
import type { Flip, Pin, Role, ShadowSetting, SharedState, Stamp, Verb } from '../model/shared-state.ts'
import type { StateFolderStatus } from '../model/state-folder.ts'
import type { StoreStatus } from '../model/state-store.ts'
import type { FlagStatus } from './flags/flags.ts'

/** Who asks for a change, and why. */
export type ChangeRequest = {
  /** Who: a token's subject, or how else they came (`kill file`, `signal`). */
  readonly by: string
  /** From where: the client's address; null where it was not over the network. */
  readonly address: string | null
  readonly reason: string | null
  /** Refuse with `conflict` unless the last change of the context (or of the kill switch) was this generation. */
  readonly ifGeneration?: number | undefined
}

/** Which difference of a context an operator means. */
export type DifferenceKey = {
  /** By `fingerprintOf`, of the context and the two below. */
  readonly fingerprint: string
  readonly route: string
  readonly field: Field
}

/** What an operator says of a difference over what the numbers say. */
export type Ruling = 'real' | 'noise'

/** A caller whom the admin API has refused: without valid credentials, or without the role for the operation. */
export type RefusedCaller = {
  readonly by: string
  readonly role: Role | null
  readonly address: string | null
  /** The operation. */
  readonly what: string
  readonly why: string
}

/** What became of a change. */
export type ChangeResult =
  /** It is in force: `convergence` says where. `note` is what a person should know beside. */
  | {
      readonly kind: 'done'
      readonly verb: Verb
      readonly context: string | null
      readonly before: unknown
      readonly after: unknown
      /** Of the state that it made; the one there was, where nothing had to be changed. */
      readonly generation: number
      readonly until: number | null
      readonly convergence: Convergence
      readonly note: string | null
    }
  /** It may not be, or makes no sense; `why` is a sentence that says what to do. Nothing was changed. */
  | { readonly kind: 'refused'; readonly why: string }
  /** Somebody else was quicker: `why` says what they changed and who they are. Nothing was changed. */
  | { readonly kind: 'conflict'; readonly why: string; readonly generation: number }
  /** There is no such context; `known` are those there are. */
  | { readonly kind: 'unknown-context'; readonly why: string; readonly known: readonly string[] }
  /** The store or the flag authority does not answer; `why` says whether anything may have changed. */
  | { readonly kind: 'unavailable'; readonly why: string }

/** How far a generation has come. A fleet has converged when there are no laggards. */
export type Convergence = {
  readonly applied: number
  readonly of: number
  /** From the change being asked for to the last gateway's word, in milliseconds. */
  readonly ms: number
  readonly laggards: readonly Laggard[]
  /** Requests that the old side was still answering when their gateway applied the change. */
  readonly inFlight: number
  /**
   * For `flip`, `rollback` and `kill`: writes that the service has answered since the context (with `kill`, each context)
   * was last at 0 %. Legacy does not have them unless both sides share their data.
   */
  readonly serviceWrites?: { readonly count: number; readonly isLowerBound: boolean }
}

export type Laggard = {
  readonly id: string
  readonly address: string
  /** Why it is one: `silent for 12 s`, `still at generation 7`, `still at 10 %`. */
  readonly why: string
}

/** A context as it stands. */
export type ContextView = {
  readonly name: string
  readonly owner: string
  readonly flag: string
  readonly service: string
  /** The percentage of its flag; null where no one number says it, and then `why` does. */
  readonly percentage: number | null
  readonly why: string | null
  /** The percentage counts only people who match the flag's constraints, segments or strategies. */
  readonly isForMatching: boolean
  /** What answers, all things considered: `split` is by percentage. */
  readonly serving: Side | 'split'
  readonly pin: Pin | null
  readonly freeze: Stamp | null
  readonly flip: Flip | null
  /** How much of it is shadowed, as operators said; null is as its config says. */
  readonly shadow: ShadowSetting | null
  /** Generation of its last change, 0 before the first: what `Order.ifGeneration` is compared with. */
  readonly generation: number
  readonly rollback: 'allowed' | 'forward-only'
  /** Requests of the last minute on all gateways. */
  readonly lastMinute: Readonly<Record<Side, number>>
  /** Which requests legacy answers while no address of the service is available. */
  readonly fallback: FallbackPolicy
  /** The addresses of its service, as the gateway that answers sees them. */
  readonly upstream: UpstreamView | undefined
}

/** The addresses of an upstream. Times are in milliseconds since 1970. */
export type UpstreamView = {
  readonly addresses: number
  readonly available: number
  readonly unavailable: readonly {
    readonly address: string
    readonly why: string
    readonly since: number
    /** When the ejection ends; null until the health check of the address passes. */
    readonly until: number | null
  }[]
}

export type StatusView = {
  /** The id of the gateway that answers. */
  readonly gateway: string
  readonly generation: number
  readonly kill: Stamp | null
  /** The kill file of the gateway that answers, if there is one: contexts, or `*` for all. */
  readonly localKill: readonly string[]
  /** Why that file is not used as it is: refused, or with names that no context has. */
  readonly killFileProblems: readonly string[]
  /** The map and the flags file of the gateway that answers, where their content on disk was rejected. */
  readonly rejectedFiles: readonly FileRejection[]
  /** The addresses of legacy, as the gateway that answers sees them. */
  readonly legacy: UpstreamView | undefined
  readonly store: StoreStatus
  readonly stateFolder: StateFolderStatus
  readonly flags: FlagStatus
  readonly contexts: readonly ContextView[]
  readonly fleet: FleetView
}

export type FleetView = {
  readonly generation: number
  readonly members: readonly MemberView[]
}

/**
 * A gateway of the fleet. It has converged if it reports, has applied the generation, and has the expected percentages;
 * otherwise `lag` is the reason.
 */
export type MemberView = FleetMember & { readonly isConverged: boolean; readonly lag: string | null }

/** The shared state, without pins whose time is up, and the kill file of this gateway: sent when any of them changes. */
export type StateChange = {
  readonly generation: number
  readonly state: SharedState
  /** Contexts that the kill file of this gateway names, or `*` for all. */
  readonly localKill: readonly string[]
  /** Why that file is not used as it is. */
  readonly killFileProblems: readonly string[]
}

/**
 * The verbs. None rejects for what can be expected; all that change something are audited, refusals and conflicts too.
 */
export type Control = {
  readonly status: () => Promise<StatusView>
  readonly context: (name: string) => Promise<ContextView | undefined>
  /** @param percentage whole, 0 to 100 */
  readonly flip: (context: string, percentage: number, order: ChangeRequest) => Promise<ChangeResult>
  /** @param forMs how long; null is without end */
  readonly pin: (context: string, side: Side, forMs: number | null, order: ChangeRequest) => Promise<ChangeResult>
  readonly unpin: (context: string, order: ChangeRequest) => Promise<ChangeResult>
  /** Everything of the context to legacy, now. @param isForced although the config says `forward-only` */
  readonly rollback: (context: string, isForced: boolean, order: ChangeRequest) => Promise<ChangeResult>
  readonly kill: (order: ChangeRequest) => Promise<ChangeResult>
  readonly revive: (order: ChangeRequest) => Promise<ChangeResult>
  readonly freeze: (context: string, order: ChangeRequest) => Promise<ChangeResult>
  readonly thaw: (context: string, order: ChangeRequest) => Promise<ChangeResult>
  /** How much is copied to the other side for comparison. @param percentage whole, 0 to 100; null is as configured */
  readonly shadow: (context: string, percentage: number | null, order: ChangeRequest) => Promise<ChangeResult>
  /** That a difference is real, or is noise, whatever the numbers say. @param ruling null leaves it to them */
  readonly rule: (
    context: string,
    difference: DifferenceKey,
    ruling: Ruling | null,
    order: ChangeRequest,
  ) => Promise<ChangeResult>
  /** That a difference was mended, now: seen later it is open again. */
  readonly resolve: (context: string, difference: DifferenceKey, order: ChangeRequest) => Promise<ChangeResult>
  /** Rejects with `StoreUnavailable`. */
  readonly history: (query: AuditQuery) => Promise<AuditPage>
  /** Whether the audit log is what its hash chain says. */
  readonly verifyHistory: () => Promise<ChainReport>
  readonly fleet: () => Promise<FleetView>
  /** A silent gateway is not waited for any more, and is no laggard; it is one of the fleet again when it reports. */
  readonly forget: (id: string, order: ChangeRequest) => Promise<ChangeResult>
  /** Told of every newer state, whoever made it. @returns what ends it */
  readonly watch: (listener: (change: StateChange) => void) => () => void
  /** Somebody was turned away: at the door, or for want of a role. Never rejects. */
  readonly recordRefusedCaller: (caller: RefusedCaller) => Promise<void>
}
