// The verbs, done: read, decide (verbs.ts), commit, apply, and wait until the fleet has.
import { join } from 'node:path'
import { withTimeout } from '../lib/timeout.ts'
import type { AuditEntry } from '../model/audit-log.ts'
import { BUILT_IN_ACTORS } from '../model/built-in-actors.ts'
import type { FileRejection } from '../model/file-rejection.ts'
import type { Clock, FlagWriter } from '../model/ports.ts'
import type { Context } from '../model/route.ts'
import type { EmbeddedFlags, SharedState, Verb } from '../model/shared-state.ts'
import type { Controls } from '../model/snapshot.ts'
import type { StateFolderStatus } from '../model/state-folder.ts'
import { type StateStore, StoreUnavailable } from '../model/state-store.ts'
import type { UpstreamReading } from '../model/upstream-reading.ts'
import type { Events } from '../telemetry/events.ts'
import { createRecorder } from './audit/recorder.ts'
import type { WriteCounts } from './audit/service-writes.ts'
import { clashOf, lastChange, leftBy } from './commands/clash.ts'
import { type Circumstances, type Command, contextOf, type Turn, turn } from './commands/verbs.ts'
import type { ChangeRequest, ChangeResult, Control, StateChange } from './control.ts'
import { EVERYTHING, withoutEndedPins } from './controls.ts'
import type { Flags } from './flags/flags.ts'
import { createOutside } from './flags/unleash/outside.ts'
import { createApplier } from './fleet/apply.ts'
import { createFleet, type Expected, isSilent } from './fleet/fleet.ts'
import type { Counts } from './fleet/last-minute.ts'
import { followKillFile } from './kill-file.ts'
import { createViews } from './views.ts'

export type ControlOptions = {
  readonly store: StateStore
  readonly clock: Clock
  readonly events: Events
  readonly flags: Flags
  /** Takes the flags of a state into use; undefined where an Unleash is the authority. */
  readonly useFlags: ((flags: EmbeddedFlags | null) => void) | undefined
  /** Writes to the Unleash; undefined where flags are embedded, or without a token that may write. */
  readonly writer: FlagWriter | undefined
  readonly stateDir: string
  readonly stateFolder: () => StateFolderStatus
  /** Puts a file in place by rename. @throws what the file system says */
  readonly replaceFile: (path: string, text: string) => Promise<void>
  readonly contexts: () => ReadonlyMap<string, Context>
  /** The map and the flags file on disk, where their content was rejected. */
  readonly rejectedFiles: () => readonly FileRejection[]
  /** Makes the controls those of all new requests. */
  readonly publish: (controls: Controls, generation: number) => void
  readonly traffic: {
    readonly inFlight: () => Counts
    readonly sinceStart: () => Counts
    /** Writes that the service has answered with 2xx or 3xx, by context, since the start. */
    readonly serviceWrites: () => WriteCounts
  }
  /** The upstreams of this gateway, with their unavailable addresses. */
  readonly upstreams: () => readonly UpstreamReading[]
  readonly self: {
    readonly id: string
    /** The process, new with each start. */
    readonly instance: string
    readonly version: string
    readonly startedAt: number
    readonly address: () => string
  }
}

export type RunningControl = Control & {
  /** Applies what the store says; resolves when requests may come. Never rejects. */
  readonly start: () => Promise<void>
  /** Says to the fleet that this gateway is there: it listens. */
  readonly join: () => void
  /** Everything to legacy on this gateway alone, as a signal asks. */
  readonly killHere: () => void
  readonly generation: () => number
  readonly stop: () => Promise<void>
}

/** Other operators with other contexts may commit in between; nobody is that busy. */
const MOST_TRIES = 20
/** The pin of a rollback is in force: the answer waits no longer for its flag. */
const ZERO_MS = 1000
/** A disk that hangs delays the end of the process no longer than this. */
const KILL_FILE_MS = 1000

export function createControl(options: ControlOptions): RunningControl {
  const { store, clock, events, flags, writer, contexts, self } = options
  const isEmbedded = options.useFlags !== undefined
  const killFile = followKillFile({
    stateDir: options.stateDir,
    replaceFile: options.replaceFile,
    onChange: killFileChanged,
    onProblem: killFileProblem,
  })
  const applier = createApplier({
    ...options,
    localKill: killFile.current,
    onApplied: () => fleet.tell(),
    onPinEnd: tellWatchers,
  })
  const views = createViews({
    ...options,
    localKill: killFile.current,
    killFileProblems,
    applied: applier.applied,
  })
  const fleet = createFleet({ store, clock, report: views.report })
  const recorder = createRecorder(store, events, self.id)
  const outside = createOutside({ ...options, recorder })
  let stopWatching = () => {}
  let stopListening = () => {}
  let isStarted = false
  const watchers = new Set<(change: StateChange) => void>()

  return {
    start,
    join: fleet.start,
    killHere: () => killFile.killHere(BUILT_IN_ACTORS.signal),
    generation: applier.applied,
    stop,
    status: views.status,
    context: async (name) => (await views.status()).contexts.find((context) => context.name === name),
    flip: (context, percentage, order) => inContext({ verb: 'flip', context, percentage }, order),
    pin: (context, side, forMs, order) => {
      const until = forMs === null ? null : store.wallTime() + forMs
      return inContext({ verb: 'pin', context, side, until }, order)
    },
    unpin: (context, order) => inContext({ verb: 'unpin', context }, order),
    rollback: (context, isForced, order) => inContext({ verb: 'rollback', context, isForced }, order),
    freeze: (context, order) => inContext({ verb: 'freeze', context }, order),
    thaw: (context, order) => inContext({ verb: 'thaw', context }, order),
    shadow: (context, percentage, order) => inContext({ verb: 'shadow', context, percentage }, order),
    rule: (context, difference, ruling, order) => inContext({ verb: 'rule', context, difference, ruling }, order),
    resolve: (context, difference, order) => inContext({ verb: 'resolve', context, difference }, order),
    kill: (order) => kill(order),
    revive: (order) => revive(order),
    history: (query) => store.history(query),
    verifyHistory: () => store.verifyHistory(),
    fleet: views.fleet,
    forget,
    watch: (listener) => {
      const unwatch = store.onChange((state) => listener(changeOf(state)))
      watchers.add(listener)
      return () => {
        unwatch()
        watchers.delete(listener)
      }
    },
    recordRefusedCaller: (facts) => recorder.turnedAway(facts),
  }

  async function start(): Promise<void> {
    isStarted = true
    stopWatching = store.onChange(applier.apply)
    stopListening = store.onHeartbeat((said) => {
      views.noticeDuplicate(said)
      views.hear({ ...said, silentMs: 0 })
    })
    applier.apply(store.current())
    recorder.start()
    if (!isEmbedded) outside.start()
    if (killFile.current().length > 0) killFileChanged(killFile.current(), BUILT_IN_ACTORS.killFile, null)
    if (killFile.problem() !== undefined) killFileProblem(killFile.problem())
  }

  async function stop(): Promise<void> {
    stopWatching()
    stopListening()
    await withTimeout(KILL_FILE_MS, killFile.stop(), undefined)
    outside.stop()
    applier.stop()
    await recorder.stop()
    await fleet.stop()
  }

  // ---- the verbs ----

  function inContext(
    command: Exclude<Command, { verb: 'kill' | 'revive' }>,
    order: ChangeRequest,
  ): Promise<ChangeResult> {
    const context = contexts().get(command.context)
    if (context === undefined) return unknownContext(command, order)
    return expectingTrouble(command, order, () => {
      if (command.verb === 'flip' && !isEmbedded) return flipInUnleash(command, context, order)
      if (command.verb === 'rollback' && !isEmbedded) return rollbackInUnleash(command, context, order)
      return carryOut(command, context, order)
    })
  }

  async function unknownContext(command: Command & { context: string }, order: ChangeRequest): Promise<ChangeResult> {
    const known = [...contexts().keys()]
    const why = `there is no context "${command.context}"; there are ${known.join(', ') || 'none'}`
    const context = command.context.slice(0, LONGEST_NAME)
    await audit(command, order, { context, result: 'refused', detail: why })
    return { kind: 'unknown-context', why, known }
  }

  async function kill(order: ChangeRequest): Promise<ChangeResult> {
    const askedAt = clock.now()
    const result = await expectingTrouble({ verb: 'kill' }, order, () => carryOut({ verb: 'kill' }, undefined, order))
    if (result.kind !== 'unavailable') return result
    // Nobody can be told but this gateway: better one than none.
    const before = store.current().kill !== null || killFile.current().includes(EVERYTHING)
    killFile.killHere(order.by)
    const why = `not killed while the store is unreachable: create ${join(options.stateDir, 'kill.all')} there, or send SIGUSR2`
    const laggards = [{ id: 'all others', address: 'unknown', why }]
    const inFlight = Object.values(options.traffic.inFlight()).reduce((sum, { service }) => sum + service, 0)
    const convergence = { applied: 1, of: 1, ms: Math.round(clock.now() - askedAt), laggards, inFlight }
    const note =
      `everything goes to legacy on this gateway (${self.id}) only. The other gateways are unchanged, because ${result.why}. ` +
      `Ask each of them with "strangler kill --url", create ${join(options.stateDir, 'kill.all')} there, or send it SIGUSR2`
    const generation = applier.applied()
    return {
      kind: 'done',
      verb: 'kill',
      context: null,
      before,
      after: true,
      generation,
      until: null,
      convergence,
      note,
    }
  }

  async function revive(order: ChangeRequest): Promise<ChangeResult> {
    const command = { verb: 'revive' } as const
    const wasKilledHere = killFile.current().length > 0
    const trouble = await killFile.reviveHere(order.by, order.reason)
    if (trouble !== undefined) return refuse(command, order, trouble)
    const result = await expectingTrouble(command, order, () => carryOut(command, undefined, order))
    if (result.kind === 'done') {
      return { ...result, note: notes(result.note, wasKilledHere ? REVIVED_HERE : null, await stillKilled()) }
    }
    if (!wasKilledHere) return result
    return 'why' in result ? { ...result, why: `${REVIVED_HERE}; for the rest: ${result.why}` } : result
  }

  async function forget(id: string, order: ChangeRequest): Promise<ChangeResult> {
    const command = { verb: 'forget' } as const
    const askedAt = clock.now()
    try {
      const members = await store.fleet()
      const member = members.find((one) => one.id === id)
      const known = members.map((one) => one.id).join(', ') || 'none'
      if (member === undefined) return await refuse(command, order, `there is no gateway "${id}"; there are ${known}`)
      if (!isSilent(member))
        return await refuse(command, order, `gateway "${id}" at ${member.address} reports: stop it first`)
      await store.removeMember(id)
      const detail = `gateway "${id}", last at ${member.address}, is not waited for any more`
      await audit(command, order, { before: id, detail })
      const convergence = await fleet.converge({ generation: 0 }, askedAt)
      const facts = { context: null, before: id, after: null, until: null, note: null }
      return { kind: 'done', verb: 'forget', ...facts, generation: applier.applied(), convergence }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      return { kind: 'unavailable', why: `the store cannot be reached (${error.message}); nothing was changed` }
    }
  }

  /** Other gateways have kill files of their own, which nobody but whoever is there can remove. */
  async function stillKilled(): Promise<string | null> {
    const members = await store.fleet().catch(() => [])
    const others = members.filter((one) => one.id !== self.id && one.localKill.length > 0 && !isSilent(one))
    if (others.length === 0) return null
    const names = others.map(({ id, address }) => `${id} (${address})`).join(', ')
    return `a kill file of its own still holds ${names}: remove it there, or ask it to revive`
  }

  async function carryOut(command: Command, context: Context | undefined, order: ChangeRequest): Promise<ChangeResult> {
    const askedAt = clock.now()
    const committed = await commit(command, context, order)
    return committed.kind === 'committed' ? finish(committed, command, askedAt) : committed
  }

  type Committed = { kind: 'committed'; generation: number; taken: Extract<Turn, { kind: 'change' | 'unchanged' }> }

  async function commit(
    command: Command,
    context: Context | undefined,
    order: ChangeRequest,
    unleash = inUnleash(context),
  ): Promise<Committed | ChangeResult> {
    let state = await store.read()
    const seen = lastChange(state, command)
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const clash = clashOf(state, command, order.ifGeneration ?? seen)
      if (clash !== undefined) return conflict(clash, state, command, order)
      const taken = turn(state, command, { stamp: stampOf(order), context, unleash })
      if (taken.kind === 'refused') return refuse(command, order, taken.why)
      if (taken.kind === 'unchanged') return { kind: 'committed', generation: state.generation, taken }
      const { next, before, after, until, note } = taken
      const entry = entryOf(command, order, { before, after, until, detail: note, generation: next.generation })
      const committed = await store.commit(next, entry).catch(unsure)
      if (committed.ok) {
        tell(entry)
        applier.apply(next)
        await auditDroppedZero({ before: state, next, command, context, order, unleash })
        return { kind: 'committed', generation: next.generation, taken }
      }
      state = committed.conflict
    }
    return { kind: 'unavailable', why: 'others change the shared state all the time: try again. Nothing was changed' }
  }

  /** The 0 of a rollback that Unleash does not have yet is not written over a later change of the context. */
  async function auditDroppedZero(change: {
    readonly before: SharedState
    readonly next: SharedState
    readonly command: Command
    readonly context: Context | undefined
    readonly order: ChangeRequest
    readonly unleash: Circumstances['unleash']
  }): Promise<void> {
    const { before, next, command, context, order, unleash } = change
    if (context === undefined || unleash === undefined || unleash.percentage === 0) return
    const pending = contextOf(before, context.name, 0).flip
    const { flip } = contextOf(next, context.name, 0)
    if (pending?.byRollback !== true || flip?.generation === pending.generation) return
    const detail = `the pending write of 0 % to flag "${context.flag}" in Unleash is dropped: ${command.verb} by ${order.by} came after the rollback`
    const rollback = { verb: 'rollback', context: context.name, isForced: false } as const
    await audit(rollback, { by: pending.by, address: null, reason: pending.reason }, { result: 'failed', detail })
  }

  function stampOf({ by, reason }: ChangeRequest): Circumstances['stamp'] {
    return { by, reason, at: store.wallTime() }
  }

  /** As this gateway has it: what is there may be newer. */
  function inUnleash(context: Context | undefined): Circumstances['unleash'] {
    if (isEmbedded) return undefined
    return { percentage: context === undefined ? null : flags.percentage(context.flag).percentage }
  }

  async function finish({ generation, taken }: Committed, command: Command, askedAt: number): Promise<ChangeResult> {
    const context = 'context' in command ? command.context : null
    const flip = command.verb === 'flip' ? { context: command.context, percentage: command.percentage } : undefined
    const expected: Expected = { generation, flip, left: leftBy(command), writesOf: writesToReport(command) }
    const convergence = await fleet.converge(expected, askedAt)
    const changes =
      taken.kind === 'change' ? taken : { before: taken.is, after: taken.is, until: null, note: taken.note }
    const { before, after, until, note } = changes
    return { kind: 'done', verb: command.verb, context, before, after, generation, until, convergence, note }
  }

  /** The flag first: only what Unleash has taken is on record as done. */
  async function flipInUnleash(
    command: Extract<Command, { verb: 'flip' }>,
    context: Context,
    order: ChangeRequest,
  ): Promise<ChangeResult> {
    const askedAt = clock.now()
    const { percentage } = command
    const { flag, name } = context
    const state = await store.read()
    const seen = order.ifGeneration ?? lastChange(state, command)
    const clash = clashOf(state, command, seen)
    if (clash !== undefined) return conflict(clash, state, command, order)
    const taken = turn(state, command, { stamp: stampOf(order), context, unleash: inUnleash(context) })
    if (taken.kind === 'refused') return refuse(command, order, taken.why)
    if (writer === undefined) return refuse(command, order, NO_WRITER)
    const written = await writer.setPercentage(flag, percentage, { context: name, by: order.by, reason: order.reason })
    if (written.kind === 'refused') return refuse(command, order, written.reason)
    if (written.kind === 'failed') {
      await audit(command, order, { result: 'failed', detail: written.reason })
      return { kind: 'unavailable', why: written.reason }
    }
    if (written.after !== percentage) {
      const there = written.after === null ? 'no one percentage' : `${written.after} %`
      const why = `flag "${flag}" has ${there} in Unleash, after ${percentage} % was written: somebody else changes it there at the same time; look at it, and ask again if you still want to`
      return conflict(why, state, command, order)
    }
    const allTheSame = `Unleash has flag "${flag}" at ${percentage} % all the same`
    const committed = await commit(
      command,
      context,
      { ...order, ifGeneration: seen },
      { percentage: written.before },
    ).catch((error: unknown) => only(error, allTheSame))
    if (committed.kind !== 'committed')
      return 'why' in committed ? { ...committed, why: `${committed.why}. ${allTheSame}` } : committed
    const result = await finish(committed, command, askedAt)
    return result.kind === 'done' ? { ...result, note: notes(result.note, written.note) } : result
  }

  /** The pin first: it needs no Unleash, and is in force before anybody asks one. */
  async function rollbackInUnleash(command: Command, context: Context, order: ChangeRequest): Promise<ChangeResult> {
    const askedAt = clock.now()
    const committed = await commit(command, context, order)
    if (committed.kind !== 'committed') return committed
    const zero = outside.setToZero(context, order)
    const result = await finish(committed, command, askedAt)
    const trouble = await withTimeout(ZERO_MS, zero, NOT_ZERO_YET)
    if (result.kind !== 'done' || trouble === undefined) return result
    return { ...result, note: notes(result.note, trouble) }
  }

  async function refuse(command: { verb: Verb } | Command, order: ChangeRequest, why: string): Promise<ChangeResult> {
    await audit(command, order, { result: 'refused', detail: why })
    return { kind: 'refused', why }
  }

  async function conflict(
    clash: string,
    state: SharedState,
    command: Command,
    order: ChangeRequest,
  ): Promise<ChangeResult> {
    await audit(command, order, { result: 'conflict', detail: clash })
    return { kind: 'conflict', why: clash, generation: lastChange(state, command) }
  }

  /** What can be expected is a result: a store that does not answer. */
  async function expectingTrouble(
    command: Command,
    order: ChangeRequest,
    work: () => Promise<ChangeResult>,
  ): Promise<ChangeResult> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      const what = error instanceof MayBeDone ? error.what : 'nothing was changed'
      const why = `the store cannot be reached (${error.message}); ${what}${withoutStore(command)}`
      tell(entryOf(command, order, { result: 'failed', detail: why }))
      recorder.later(entryOf(command, order, { result: 'failed', detail: why }))
      return { kind: 'unavailable', why }
    }
  }

  /** What still works while the store is away, for who is in a hurry. */
  function withoutStore(command: Command): string {
    const isToLegacy = command.verb === 'rollback' || (command.verb === 'pin' && command.side === 'legacy')
    if (!isToLegacy) return ''
    return `. Without it, on each gateway by itself: write ${command.context} into the file ${join(options.stateDir, 'kill')} there`
  }

  /** Why the kill file is not used as it is, and which names in it no context has. */
  function killFileProblems(): readonly string[] {
    const unknown = unknownNames(killFile.current())
    const known = [...contexts().keys()].join(', ') || 'none'
    const mistake = unknown.length === 0 ? [] : [`there is no context ${unknown.join(', ')}; there are ${known}`]
    return [killFile.problem() ?? [], mistake].flat()
  }

  function killFileProblem(problem: string | undefined): void {
    events.killFileRefused({ problem })
    if (isStarted) tellWatchers()
  }

  function changeOf(state: SharedState): StateChange {
    const { generation } = state
    const localKill = killFile.current()
    return {
      generation,
      state: withoutEndedPins(state, store.wallTime()),
      localKill,
      killFileProblems: killFileProblems(),
    }
  }

  /** What changes on this gateway alone, or by time, has no generation of its own. */
  function tellWatchers(): void {
    const change = changeOf(store.current())
    for (const listener of watchers) listener(change)
  }

  function unknownNames(names: readonly string[]): readonly string[] {
    return names.filter((name) => name !== EVERYTHING && !contexts().has(name))
  }

  function killFileChanged(names: readonly string[], by: string, reason: string | null): void {
    // Until then it is only remembered: what is there at the start is told then.
    if (!isStarted) return
    applier.apply(store.current())
    fleet.tell()
    tellWatchers()
    const isKilled = names.length > 0
    const unknown = unknownNames(names)
    const what = isKilled ? `: ${names.join(', ')}` : ''
    const mistake = unknown.length === 0 ? '' : `; there is no context ${unknown.join(', ')}`
    const detail = `on ${self.id} alone${what}${mistake}`
    const order: ChangeRequest = { by, address: null, reason }
    const verb = isKilled ? 'kill' : 'revive'
    const killed = names.filter((name) => !unknown.includes(name))
    const contexts = isKilled && !names.includes(EVERYTHING) ? killed : [null]
    for (const context of contexts) {
      const entry = entryOf({ verb }, order, { context, before: !isKilled, after: isKilled, detail })
      tell(entry)
      recorder.later(entry)
    }
  }

  async function audit(
    command: { verb: Verb } | Command,
    order: ChangeRequest,
    facts: Partial<AuditEntry>,
  ): Promise<void> {
    const entry = entryOf(command, order, facts)
    tell(entry)
    await recorder.record(entry)
  }

  function tell({ verb, context, actor: by, reason, result, before, after, detail }: AuditEntry): void {
    events.changed({ verb, context, by, reason, result, before, after, detail })
  }

  function entryOf(command: { verb: Verb } | Command, order: ChangeRequest, facts: Partial<AuditEntry>): AuditEntry {
    return {
      at: store.wallTime(),
      actor: order.by,
      address: order.address,
      verb: command.verb,
      context: 'context' in command ? command.context : null,
      before: null,
      after: null,
      reason: order.reason,
      until: null,
      result: 'done',
      detail: null,
      generation: null,
      gateway: self.id,
      ...facts,
    }
  }
}

const NO_WRITER =
  'this gateway may not write to Unleash: give it UNLEASH_ADMIN_TOKEN, or change the percentage in Unleash’s own pages'
const NOT_ZERO_YET =
  'the pin holds it at legacy; its flag is not at 0 yet, as Unleash does not answer: it is tried again until it is written'
const REVIVED_HERE = 'the kill file of this gateway is gone'

/** A flip and the two ways back to legacy: whose data legacy may lack. */
function writesToReport(command: Command): string | null | undefined {
  if (command.verb === 'kill') return null
  return command.verb === 'flip' || command.verb === 'rollback' ? command.context : undefined
}

function notes(...said: readonly (string | null | undefined)[]): string | null {
  return said.filter(Boolean).join('; ') || null
}

/** What is kept of a name that nobody knows. */
const LONGEST_NAME = 200

/** The store went away in the middle: `what` a person must know of what may have been done. */
class MayBeDone extends StoreUnavailable {
  readonly what: string

  constructor(what: string, cause: StoreUnavailable) {
    super(cause.message, cause)
    this.what = what
  }
}

function unsure(error: unknown): never {
  if (!(error instanceof StoreUnavailable)) throw error
  throw new MayBeDone('whether it was changed is not known: look at its status before you ask again', error)
}

function only(error: unknown, what: string): never {
  throw error instanceof StoreUnavailable ? new MayBeDone(what, error) : error
}
