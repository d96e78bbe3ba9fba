// A fleet in one process: several control planes over one memory, each with its own flags, and a fake Unleash.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type ManualClock, manualClock } from '../lib/manual-clock.test-kit.ts'
import { replaceFile } from '../lib/replace-file.ts'
import type { AuditRecord } from '../model/audit-log.ts'
import type { FileRejection } from '../model/file-rejection.ts'
import type { FlagWriteResult, FlagWriter } from '../model/ports.ts'
import type { Context } from '../model/route.ts'
import { type Controls, NO_CONTROLS } from '../model/snapshot.ts'
import type { StateStore } from '../model/state-store.ts'
import type { UpstreamReading } from '../model/upstream-reading.ts'
import { MemoryStore, SharedMemory } from '../store/memory/memory-store.ts'
import { auditEntry } from './audit/audit-entry.ts'
import { AuditRecorder } from './audit/audit-recorder.ts'
import { contextNamed, flagsAt } from './control.test-kit.ts'
import type { ChangeRequest, ChangeResult } from './control.ts'
import { EmbeddedAuthority } from './flags/embedded/embedded-authority.ts'
import { engineOf, recordedEvents } from './flags/flags.test-kit.ts'
import type { FlagStatus, Flags } from './flags/flags.ts'
import { UnleashAuthority } from './flags/unleash/unleash-authority.ts'
import { GatewayControl } from './gateway-control.ts'

export type TestGateway = {
  readonly control: GatewayControl
  readonly store: StateStore
  readonly flags: Flags
  readonly events: ReturnType<typeof recordedEvents>
  readonly stateDir: string
  /** The controls of its requests. */
  readonly controls: () => Controls
  readonly traffic: {
    inFlight: Record<string, { legacy: number; service: number }>
    serviceWrites: Record<string, number>
  }
  readonly rejectedFiles: FileRejection[]
  readonly upstreams: UpstreamReading[]
}

export type TestFleet = {
  readonly clock: ManualClock
  readonly memory: SharedMemory
  /** Starts another gateway. */
  readonly start: (more?: Starting) => Promise<TestGateway>
  /** The audit log, the oldest first. */
  readonly log: () => Promise<AuditRecord[]>
}

type Starting = {
  id?: string
  instance?: string
  isJoining?: boolean
  stateDir?: string
  /** Called after the gateway was created and before it starts. */
  beforeStart?: () => Promise<void>
}

const CONTEXTS: readonly Context[] = [
  contextNamed('catalog'),
  contextNamed('orders'),
  contextNamed('billing', { rollback: 'forward-only' }),
]

export const anna: ChangeRequest = { by: 'anna', address: '192.0.2.1', reason: 'launch' }
export const bob: ChangeRequest = { by: 'bob', address: '192.0.2.2', reason: null }

/** The file of embedded flags is never read: the store has them from the start. */
const NO_WATCH = () => ({ close: () => {} })

/** @param unleash the authority; flags are embedded without one, at 10 % each */
export async function testFleet(unleash?: FakeUnleash): Promise<TestFleet> {
  const clock = unleash?.clock ?? manualClock()
  const memory = new SharedMemory()
  if (unleash === undefined) await seedFlags(memory, clock)
  let count = 0
  return {
    clock,
    memory,
    start: ({ id = `gateway-${++count}`, ...more } = {}) => startGateway(id, more),
    log: async () => {
      const { records } = await new MemoryStore({ memory, clock }).history({ limit: 1000 })
      return [...records].reverse()
    },
  }

  async function startGateway(
    id: string,
    { isJoining = true, stateDir: folder, beforeStart, instance = id }: Starting,
  ): Promise<TestGateway> {
    const stateDir = folder ?? (await mkdtemp(join(tmpdir(), 'control-')))
    const store = new MemoryStore({ memory, clock })
    await store.start()
    const eventLog = recordedEvents()
    const { events } = eventLog
    const contexts = () => new Map(CONTEXTS.map((context) => [context.name, context]))
    const recorder = new AuditRecorder({ store, events, gateway: id })
    const shared = { store, clock, events, contexts, recorder, gateway: id }
    const authority =
      unleash === undefined
        ? new EmbeddedAuthority({ ...shared, file: 'flags.json', watch: NO_WATCH, contextOf: () => null })
        : new UnleashAuthority({ ...shared, flags: unleash.follow(), writer: unleash.writer })
    const { flags } = authority
    let controls = NO_CONTROLS
    const traffic: TestGateway['traffic'] = { inFlight: {}, serviceWrites: {} }
    const rejectedFiles: FileRejection[] = []
    const upstreams: UpstreamReading[] = []
    const control = new GatewayControl({
      ...shared,
      authority,
      stateDir,
      replaceFile,
      stateFolder: () => ({
        location: stateDir,
        isWritable: true,
        trouble: undefined,
        code: undefined,
        since: undefined,
        openMode: undefined,
      }),
      rejectedFiles: () => rejectedFiles,
      upstreams: () => upstreams,
      publish: (published) => {
        controls = published
      },
      traffic: {
        inFlight: () => traffic.inFlight,
        sinceStart: () => ({}),
        serviceWrites: () => traffic.serviceWrites,
      },
      self: { id, instance, version: '1', startedAt: clock.wallTime(), address: () => `http://${id}:8081` },
    })
    await beforeStart?.()
    if (unleash !== undefined) await authority.start()
    await control.start()
    if (isJoining) control.join()
    onTestFinished(async () => {
      await authority.stop()
      await control.stop()
      await store.close()
      await rm(stateDir, { recursive: true, force: true })
    })
    return {
      control,
      store,
      flags,
      events: eventLog,
      stateDir,
      controls: () => controls,
      traffic,
      rejectedFiles,
      upstreams,
    }
  }
}

async function seedFlags(memory: SharedMemory, clock: ManualClock): Promise<void> {
  const store = new MemoryStore({ memory, clock })
  const state = await store.read()
  const flags = flagsAt(Object.fromEntries(CONTEXTS.map(({ flag }) => [flag, 10])))
  await store.commit(
    { ...state, generation: state.generation + 1, flags },
    auditEntry({
      at: clock.wallTime(),
      actor: 'flags.json',
      verb: 'outside',
      detail: 'seeded',
      generation: state.generation + 1,
      gateway: 'test',
    }),
  )
}

export type FakeUnleash = {
  readonly clock: ManualClock
  /** The percentages in Unleash, which a test changes as Unleash's pages would. */
  readonly percentages: Record<string, number | null>
  /** No gateway has read Unleash. */
  isStale: boolean
  /** The result of the next writes, which then change nothing; undefined for normal writes. */
  answer: FlagWriteResult | Promise<FlagWriteResult | undefined> | undefined
  readonly written: { readonly flag: string; readonly percentage: number; readonly by: string }[]
  readonly writer: FlagWriter
  /** The flags of one gateway, as of its last read. `isReachable` applies to this gateway alone. */
  readonly follow: () => FakeFlags
}

export type FakeFlags = Flags & { isReachable: boolean; refreshes: number }

export function fakeUnleash(
  percentages: Record<string, number | null> = { 'catalog-flag': 10, 'orders-flag': 10 },
): FakeUnleash {
  const clock = manualClock()
  const written: { flag: string; percentage: number; by: string }[] = []
  const unleash: FakeUnleash = {
    clock,
    percentages,
    isStale: false,
    answer: undefined,
    written,
    writer: {
      read: async (flag) => ({ percentage: percentages[flag] ?? null }),
      setPercentage: async (flag, percentage, { by, objection }) => {
        written.push({ flag, percentage, by })
        await null
        const answer = await unleash.answer
        if (answer !== undefined) return answer
        const current = percentages[flag] ?? null
        const reason = await objection?.(current)
        if (reason !== undefined) return { kind: 'refused', reason }
        percentages[flag] = percentage
        return { kind: 'written', before: current, after: percentage }
      },
    },
    follow,
  }
  return unleash

  function follow(): FakeFlags {
    let read: Record<string, number | null> = { ...percentages }
    let readAt = clock.now()
    const engine = engineOf([])
    const flags: FakeFlags = {
      isReachable: true,
      refreshes: 0,
      evaluate: (flag, context) => engine.evaluate(flag, context),
      isFullyOn: (flag) => engine.isFullyOn(flag),
      trace: (flag, context) => engine.trace(flag, context),
      isOlderThan: (ageMs) => clock.now() - readAt > ageMs,
      start: async () => {},
      stop: async () => {},
      refresh: async () => {
        flags.refreshes++
        await null
        if (!flags.isReachable) return
        read = { ...percentages }
        readAt = clock.now()
      },
      percentage: (flag) => ({ percentage: unleash.isStale ? null : (read[flag] ?? null) }),
      status: (): FlagStatus => ({
        source: 'unleash',
        location: 'http://unleash.invalid',
        flags: Object.keys(read).length,
        ageMs: clock.now() - readAt,
        stale: unleash.isStale,
        trouble: flags.isReachable ? undefined : 'cannot be reached',
        isRefused: false,
      }),
    }
    return flags
  }
}

/** The result of a change that was made. @throws {Error} for any other result */
export function doneResult(result: ChangeResult): Extract<ChangeResult, { kind: 'done' }> {
  if (result.kind !== 'done') throw new Error(`${result.kind}: ${result.why}`)
  return result
}

export function failureOf(result: ChangeResult): string {
  if (result.kind === 'done') throw new Error('it was done')
  return `${result.kind}: ${result.why}`
}
