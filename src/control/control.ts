// The interface of the control plane: every operation of an operator, as the command line, the admin API and the console call it.
// A change is recorded with its author and reason, and returns when every gateway has applied it.
import type { AuditPage, AuditQuery, ChainReport } from '../model/audit-log.ts'
import type { Field } from '../model/comparison.ts'
import type { FileRejection } from '../model/file-rejection.ts'
import type { FleetMember } from '../model/fleet.ts'
import type { FallbackPolicy, Side } from '../model/route.ts'
import type { Flip, Pin, Role, ShadowSetting, SharedState, Stamp, Verb } from '../model/shared-state.ts'
import type { StateFolderStatus } from '../model/state-folder.ts'
import type { StoreStatus } from '../model/state-store.ts'
import type { FlagStatus } from './flags/flags.ts'

/** The author of a change, and the reason. */
export type ChangeRequest = {
  /** The author: the subject of a token, or a built-in actor (`kill file`, `signal`). */
  readonly by: string
  /** The address of the client; null if the change did not come over the network. */
  readonly address: string | null
  readonly reason: string | null
  /** The result is `conflict` unless the last change of the context (or of the kill switch) has this generation. */
  readonly ifGeneration?: number | undefined
}

/** Identifies a difference of a context. */
export type DifferenceKey = {
  /** Made by `fingerprintOf` from the context, the route and the field. */
  readonly fingerprint: string
  readonly route: string
  readonly field: Field
}

/** The decision of an operator on a difference, which overrides the statistics. */
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

/** The result of a change. */
export type ChangeResult =
  /** The change is in force on the gateways in `convergence`. `note` is a hint for the operator. */
  | {
      readonly kind: 'done'
      readonly verb: Verb
      readonly context: string | null
      readonly before: unknown
      readonly after: unknown
      /** The generation of the state after the change, which is the current one if the change was unnecessary. */
      readonly generation: number
      readonly until: number | null
      readonly convergence: Convergence
      readonly note: string | null
    }
  /** The change is not allowed or not possible; `why` has the reason and the next step. Nothing was changed. */
  | { readonly kind: 'refused'; readonly why: string }
  /** Another change came first: `why` has its author. Nothing was changed. */
  | { readonly kind: 'conflict'; readonly why: string; readonly generation: number }
  /** The context does not exist; `known` has the names of all contexts. */
  | { readonly kind: 'unknown-context'; readonly why: string; readonly known: readonly string[] }
  /** The store or the flag authority does not answer; `why` says whether the change may have been made. */
  | { readonly kind: 'unavailable'; readonly why: string }

/** How many gateways have applied a generation. The fleet has converged if there are no laggards. */
export type Convergence = {
  readonly applied: number
  readonly of: number
  /** From the request of the change to the last report of a gateway, in milliseconds. */
  readonly ms: number
  readonly laggards: readonly Laggard[]
  /** Requests in flight on the abandoned side when their gateway applied the change. */
  readonly inFlight: number
  /**
   * For `flip`, `rollback` and `kill`: writes that the service has answered since the context (with `kill`, each context)
   * was last at 0 %. Legacy lacks them unless both sides share their data.
   */
  readonly serviceWrites?: { readonly count: number; readonly isLowerBound: boolean }
}

export type Laggard = {
  readonly id: string
  readonly address: string
  /** Such as `silent for 12 s`, `still at generation 7`, `still at 10 %`. */
  readonly why: string
}

/** The state of a context. */
export type ContextView = {
  readonly name: string
  readonly owner: string
  readonly flag: string
  readonly service: string
  /** The percentage of its flag; null if no single number describes it: `why` has the reason. */
  readonly percentage: number | null
  readonly why: string | null
  /** The percentage counts only users who match the flag's constraints, segments or strategies. */
  readonly isForMatching: boolean
  /** The side that answers, by flag, pin and kill switch; `split` is by percentage. */
  readonly serving: Side | 'split'
  readonly pin: Pin | null
  readonly freeze: Stamp | null
  readonly flip: Flip | null
  /** The share that is shadowed, set by an operator; null is as configured. */
  readonly shadow: ShadowSetting | null
  /** The generation of its last change, 0 before the first; compared with `ChangeRequest.ifGeneration`. */
  readonly generation: number
  readonly rollback: 'allowed' | 'forward-only'
  /** Requests of the last minute on all gateways. */
  readonly lastMinute: Readonly<Record<Side, number>>
  /** The requests that legacy answers while no address of the service is available. */
  readonly fallback: FallbackPolicy
  /** The addresses of its service, as this gateway sees them. */
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
  /** The id of this gateway. */
  readonly gateway: string
  readonly generation: number
  readonly kill: Stamp | null
  /** The kill file of this gateway: contexts, or `*` for all; empty without one. */
  readonly localKill: readonly string[]
  /** Why that file is not used as it is: it is invalid, or has names that are not contexts. */
  readonly killFileProblems: readonly string[]
  /** The map and the flags file of this gateway, where their content on disk was rejected. */
  readonly rejectedFiles: readonly FileRejection[]
  /** The addresses of legacy, as this gateway sees them. */
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
type MemberView = FleetMember & { readonly isConverged: boolean; readonly lag: string | null }

/** The shared state without ended pins, and the kill file of this gateway: sent when one of them changes. */
export type StateChange = {
  readonly generation: number
  readonly state: SharedState
  /** Contexts that the kill file of this gateway names, or `*` for all. */
  readonly localKill: readonly string[]
  /** Why that file is not used as it is. */
  readonly killFileProblems: readonly string[]
}

/** Changes do not reject if the store is unreachable; all of them are audited, refusals and conflicts too. */
export type Control = {
  readonly status: () => Promise<StatusView>
  readonly context: (name: string) => Promise<ContextView | undefined>
  /** @param percentage whole, 0 to 100 */
  readonly flip: (context: string, percentage: number, request: ChangeRequest) => Promise<ChangeResult>
  /** @param forMs duration in milliseconds; null is without end */
  readonly pin: (context: string, side: Side, forMs: number | null, request: ChangeRequest) => Promise<ChangeResult>
  readonly unpin: (context: string, request: ChangeRequest) => Promise<ChangeResult>
  /** Sends the whole context to legacy at once. @param isForced also if the context is configured as `forward-only` */
  readonly rollback: (context: string, isForced: boolean, request: ChangeRequest) => Promise<ChangeResult>
  readonly kill: (request: ChangeRequest) => Promise<ChangeResult>
  readonly revive: (request: ChangeRequest) => Promise<ChangeResult>
  readonly freeze: (context: string, request: ChangeRequest) => Promise<ChangeResult>
  readonly thaw: (context: string, request: ChangeRequest) => Promise<ChangeResult>
  /** Sets the share that is copied to the other side for comparison. @param percentage whole, 0 to 100; null is as configured */
  readonly shadow: (context: string, percentage: number | null, request: ChangeRequest) => Promise<ChangeResult>
  /** Marks a difference as real or as noise. @param ruling null leaves it to the statistics */
  readonly rule: (
    context: string,
    difference: DifferenceKey,
    ruling: Ruling | null,
    request: ChangeRequest,
  ) => Promise<ChangeResult>
  /** Marks a difference as resolved now. It is open again if it is observed later. */
  readonly resolve: (context: string, difference: DifferenceKey, request: ChangeRequest) => Promise<ChangeResult>
  /** @throws {StoreUnavailable} */
  readonly history: (query: AuditQuery) => Promise<AuditPage>
  /** Verifies the audit log by its hash chain. @throws {StoreUnavailable} */
  readonly verifyHistory: () => Promise<ChainReport>
  readonly fleet: () => Promise<FleetView>
  /** Removes a silent gateway: changes do not wait for it. It belongs to the fleet again when it reports. */
  readonly forget: (id: string, request: ChangeRequest) => Promise<ChangeResult>
  /** Calls the listener with every newer state. @returns a function that removes the listener */
  readonly watch: (listener: (change: StateChange) => void) => () => void
  /** Never rejects. */
  readonly recordRefusedCaller: (caller: RefusedCaller) => Promise<void>
}
