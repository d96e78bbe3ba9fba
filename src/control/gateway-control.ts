// The control plane of one gateway, behind the interface in control.ts.

import { withTimeout } from '../lib/timeout.ts'
import type { AuditPage, AuditQuery, ChainReport } from '../model/audit-log.ts'
import { BUILT_IN_ACTORS } from '../model/built-in-actors.ts'
import type { Clock } from '../model/ports.ts'
import type { Context, Side } from '../model/route.ts'
import type { SharedState } from '../model/shared-state.ts'
import { StoreUnavailable } from '../model/state-store.ts'
import type { AuditRecorder } from './audit/audit-recorder.ts'
import { ChangeAudit } from './audit/change-audit.ts'
import type { ContextChange } from './commands/change.ts'
import type {
  ChangeRequest,
  ChangeResult,
  ContextView,
  Control,
  DifferenceKey,
  FleetView,
  RefusedCaller,
  Ruling,
  StateChange,
  StatusView,
} from './control.ts'
import { withoutEndedPins } from './controls.ts'
import { ChangeExecutor } from './execute-change.ts'
import { Fleet } from './fleet/fleet.ts'
import { FleetMembers } from './fleet/fleet-members.ts'
import { isSilent } from './fleet/member-lag.ts'
import { type GatewayIdentity, OwnHeartbeat, type TrafficCounts } from './fleet/own-heartbeat.ts'
import { StateApplier, type StateApplierOptions } from './fleet/state-applier.ts'
import { KillSwitch } from './kill-switch.ts'
import { LocalKill, type LocalKillOptions } from './local-kill.ts'
import { readStatus, type StatusOptions } from './status/status.ts'

export type GatewayControlOptions = Pick<StatusOptions, 'store' | 'rejectedFiles' | 'stateFolder' | 'upstreams'> &
  Pick<LocalKillOptions, 'stateDir' | 'replaceFile' | 'events'> &
  Pick<StateApplierOptions, 'authority' | 'publish'> & {
    readonly clock: Clock
    readonly recorder: AuditRecorder
    readonly contexts: () => ReadonlyMap<string, Context>
    readonly traffic: TrafficCounts
    readonly self: GatewayIdentity
  }

/** A disk that hangs delays the end of the process no longer than this. */
const KILL_FILE_LIMIT_MS = 1000
/** How much of an unknown context name the audit log keeps. */
const LONGEST_NAME = 200

export class GatewayControl implements Control {
  readonly #options: GatewayControlOptions
  readonly #audit: ChangeAudit
  readonly #localKill: LocalKill
  readonly #applier: StateApplier
  readonly #heartbeat: OwnHeartbeat
  readonly #members: FleetMembers
  readonly #fleet: Fleet
  readonly #executor: ChangeExecutor
  readonly #killSwitch: KillSwitch
  readonly #watchers = new Set<(change: StateChange) => void>()
  #unsubscribe = () => {}

  constructor(options: GatewayControlOptions) {
    this.#options = options
    const { store, clock, authority, traffic, self } = options
    const parts = { ...options, gateway: self.id }
    this.#audit = new ChangeAudit(parts)
    this.#localKill = new LocalKill({
      ...parts,
      onChange: () => this.#localKillChanged(),
      onProblem: () => this.#notifyWatchers(),
    })
    const localKill = () => this.#localKill.names
    this.#applier = new StateApplier({
      ...options,
      localKill,
      onApplied: () => this.#fleet.sendHeartbeat(),
      onPinEnd: () => this.#notifyWatchers(),
    })
    const { flags } = authority
    this.#heartbeat = new OwnHeartbeat({ ...options, flags, localKill, applied: () => this.#applier.generation })
    const report = () => this.#heartbeat.report()
    this.#members = new FleetMembers({ store, clock, authority, report, id: self.id })
    this.#fleet = new Fleet({ store, clock, report })
    const execution = { ...parts, audit: this.#audit, applier: this.#applier, fleet: this.#fleet }
    this.#executor = new ChangeExecutor(execution)
    this.#killSwitch = new KillSwitch({ ...execution, executor: this.#executor, localKill: this.#localKill, traffic })
  }

  /** Applies the state of the store. Resolves when requests may come. Never rejects. */
  async start(): Promise<void> {
    const { store, recorder } = this.#options
    const unsubscribeState = store.onChange((state) => this.#applier.apply(state))
    const unsubscribeReports = store.onHeartbeat((report) => {
      this.#heartbeat.noticeDuplicate(report)
      this.#members.remember({ ...report, silentMs: 0 })
    })
    this.#unsubscribe = () => {
      unsubscribeState()
      unsubscribeReports()
    }
    this.#applier.apply(store.current())
    recorder.start()
    this.#localKill.start()
  }

  /** Reports to the fleet that this gateway listens. */
  join(): void {
    this.#fleet.start()
  }

  async stop(): Promise<void> {
    this.#unsubscribe()
    await withTimeout(KILL_FILE_LIMIT_MS, this.#localKill.stop(), undefined)
    this.#applier.stop()
    await this.#options.recorder.stop()
    await this.#fleet.stop()
  }

  /** Sends everything to legacy on this gateway alone, as a signal asks. */
  killHere(): void {
    this.#localKill.kill(BUILT_IN_ACTORS.signal)
  }

  /** The generation in use. */
  generation(): number {
    return this.#applier.generation
  }

  status(): Promise<StatusView> {
    return readStatus({
      ...this.#options,
      heartbeat: this.#heartbeat,
      members: this.#members,
      localKill: this.#localKill,
    })
  }

  async context(name: string): Promise<ContextView | undefined> {
    return (await this.status()).contexts.find((context) => context.name === name)
  }

  flip(context: string, percentage: number, request: ChangeRequest): Promise<ChangeResult> {
    return this.#change({ verb: 'flip', context, percentage }, request)
  }

  pin(context: string, side: Side, forMs: number | null, request: ChangeRequest): Promise<ChangeResult> {
    const until = forMs === null ? null : this.#options.store.wallTime() + forMs
    return this.#change({ verb: 'pin', context, side, until }, request)
  }

  unpin(context: string, request: ChangeRequest): Promise<ChangeResult> {
    return this.#change({ verb: 'unpin', context }, request)
  }

  rollback(context: string, isForced: boolean, request: ChangeRequest): Promise<ChangeResult> {
    return this.#change({ verb: 'rollback', context, isForced }, request)
  }

  freeze(context: string, request: ChangeRequest): Promise<ChangeResult> {
    return this.#change({ verb: 'freeze', context }, request)
  }

  thaw(context: string, request: ChangeRequest): Promise<ChangeResult> {
    return this.#change({ verb: 'thaw', context }, request)
  }

  shadow(context: string, percentage: number | null, request: ChangeRequest): Promise<ChangeResult> {
    return this.#change({ verb: 'shadow', context, percentage }, request)
  }

  rule(
    context: string,
    difference: DifferenceKey,
    ruling: Ruling | null,
    request: ChangeRequest,
  ): Promise<ChangeResult> {
    return this.#change({ verb: 'rule', context, difference, ruling }, request)
  }

  resolve(context: string, difference: DifferenceKey, request: ChangeRequest): Promise<ChangeResult> {
    return this.#change({ verb: 'resolve', context, difference }, request)
  }

  kill(request: ChangeRequest): Promise<ChangeResult> {
    return this.#killSwitch.kill(request)
  }

  revive(request: ChangeRequest): Promise<ChangeResult> {
    return this.#killSwitch.revive(request)
  }

  history(query: AuditQuery): Promise<AuditPage> {
    return this.#options.store.history(query)
  }

  verifyHistory(): Promise<ChainReport> {
    return this.#options.store.verifyHistory()
  }

  fleet(): Promise<FleetView> {
    return this.#members.view()
  }

  async forget(id: string, request: ChangeRequest): Promise<ChangeResult> {
    try {
      return await this.#forget(id, request)
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      return { kind: 'unavailable', why: `the store cannot be reached (${error.message}); nothing was changed` }
    }
  }

  watch(listener: (change: StateChange) => void): () => void {
    const unsubscribe = this.#options.store.onChange((state) => listener(this.#changeOf(state)))
    this.#watchers.add(listener)
    return () => {
      unsubscribe()
      this.#watchers.delete(listener)
    }
  }

  recordRefusedCaller(caller: RefusedCaller): Promise<void> {
    return this.#options.recorder.recordRefusedCaller(caller)
  }

  async #change(change: ContextChange, request: ChangeRequest): Promise<ChangeResult> {
    const contexts = this.#options.contexts()
    const context = contexts.get(change.context)
    if (context !== undefined) return this.#executor.execute(change, context, request)
    const names = [...contexts.keys()]
    const why = `there is no context "${change.context}"; there are ${names.join(', ') || 'none'}`
    const name = change.context.slice(0, LONGEST_NAME)
    await this.#audit.record(change, request, { context: name, result: 'refused', detail: why })
    return { kind: 'unknown-context', why, known: names }
  }

  /** @throws {StoreUnavailable} */
  async #forget(id: string, request: ChangeRequest): Promise<ChangeResult> {
    const { store, clock } = this.#options
    const change = { verb: 'forget' } as const
    const startedAt = clock.now()
    const members = await store.fleet()
    const member = members.find((candidate) => candidate.id === id)
    if (member === undefined) {
      const ids = members.map((candidate) => candidate.id).join(', ') || 'none'
      return this.#executor.refuse(change, request, `there is no gateway "${id}"; there are ${ids}`)
    }
    if (!isSilent(member))
      return this.#executor.refuse(change, request, `gateway "${id}" at ${member.address} reports: stop it first`)
    await store.removeMember(id)
    const detail = `gateway "${id}", last at ${member.address}, is removed from the fleet: changes do not wait for it`
    await this.#audit.record(change, request, { before: id, detail })
    const convergence = await this.#fleet.converge({ generation: 0 }, startedAt)
    const facts = { context: null, before: id, after: null, until: null, note: null }
    return { kind: 'done', verb: 'forget', ...facts, generation: this.#applier.generation, convergence }
  }

  #localKillChanged(): void {
    this.#applier.apply(this.#options.store.current())
    this.#fleet.sendHeartbeat()
    this.#notifyWatchers()
  }

  /** For changes without a generation: of this gateway alone, or by time. */
  #notifyWatchers(): void {
    const change = this.#changeOf(this.#options.store.current())
    for (const listener of this.#watchers) listener(change)
  }

  #changeOf(state: SharedState): StateChange {
    return {
      generation: state.generation,
      state: withoutEndedPins(state, this.#options.store.wallTime()),
      localKill: this.#localKill.names,
      killFileProblems: this.#localKill.problems,
    }
  }
}
