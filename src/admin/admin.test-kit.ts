// An admin server with a control over a store in memory, for tests of handlers without a gateway.
import type { Express } from 'express'
import { Registry } from 'prom-client'
import request from 'supertest'
import { onTestFinished } from 'vitest'
import type {
  ChangeRequest,
  ChangeResult,
  ContextView,
  Control,
  DifferenceKey,
  RefusedCaller,
} from '../control/control.ts'
import { type ManualClock, manualClock } from '../lib/manual-clock.test-kit.ts'
import type { AuditEntry } from '../model/audit-log.ts'
import type { Clock } from '../model/ports.ts'
import { type DifferenceNote, EMPTY_CONTEXT, type SharedState, type Stamp, type Verb } from '../model/shared-state.ts'
import { FAULTY, reportsOn, storedExampleOf } from '../shadow/report/comparison-reports.test-kit.ts'
import { MemoryStore, SharedMemory } from '../store/memory/memory-store.ts'
import type { Events } from '../telemetry/events.ts'
import type { Explanation } from './contract/explanation.ts'
import { createAdminApp } from './http/admin-app.ts'
import { type AdminOptions, startAdmin } from './http/admin-server.ts'
import type { ApiServices } from './http/services.ts'

export const TOKEN = 'a-token-that-is-long-enough-for-anybody'
type TestControl = Control & {
  /** Every change that was requested, also the refused ones. */
  readonly changeRequests: { readonly verb: Verb; readonly context: string | null; readonly order: ChangeRequest }[]
  readonly refusedCallers: RefusedCaller[]
  /** The result of the next change, which is then not made. */
  next: ChangeResult | Promise<ChangeResult> | undefined
  readonly memory: SharedMemory
  readonly state: () => SharedState
}

const CONTEXTS = ['catalog', 'orders']

export function createTestControl(clock: Clock): TestControl {
  const memory = new SharedMemory()
  const store = new MemoryStore({ memory, clock })
  void store.start()
  const fleet = { generation: 0, members: [member(clock)] }
  const control: TestControl = {
    changeRequests: [],
    refusedCallers: [],
    next: undefined,
    memory,
    state: () => store.current(),
    status: async () => {
      const { generation, kill } = store.current()
      return {
        gateway: 'g1',
        generation,
        kill,
        localKill: [],
        killFileProblems: [],
        rejectedFiles: [],
        legacy: { addresses: 1, available: 1, unavailable: [] },
        store: store.status(),
        stateFolder: {
          location: '/srv/.strangler',
          isWritable: false,
          trouble: 'ENOSPC: no space left on device, write',
          code: 'ENOSPC',
          since: 1,
          openMode: '0777',
        },
        flags: FLAGS,
        contexts: CONTEXTS.map(viewOf),
        fleet: { ...fleet, generation },
      }
    },
    context: async (name) => (CONTEXTS.includes(name) ? viewOf(name) : undefined),
    flip: (name, percentage, order) =>
      change('flip', name, order, (state, { stamp, generation }) =>
        updateContext(state, name, { flip: { ...stamp, flag: name, percentage, generation } }),
      ),
    pin: (name, side, forMs, order) => {
      const until = forMs === null ? null : clock.wallTime() + forMs
      return change(
        'pin',
        name,
        order,
        (state, { stamp }) => updateContext(state, name, { pin: { ...stamp, side, until } }),
        until,
      )
    },
    unpin: (name, order) => change('unpin', name, order, (state) => updateContext(state, name, { pin: null })),
    rollback: (name, isForced, order) => {
      if (name === 'orders' && !isForced) return Promise.resolve({ kind: 'refused', why: 'it is forward-only' })
      return change('rollback', name, order, (state, { stamp }) =>
        updateContext(state, name, { pin: { ...stamp, side: 'legacy', until: null } }),
      )
    },
    kill: (order) => change('kill', null, order, (state, { stamp }) => ({ ...state, kill: stamp })),
    revive: (order) => change('revive', null, order, (state) => ({ ...state, kill: null })),
    forget: (_id, order) => change('forget', null, order, (state) => state),
    freeze: (name, order) =>
      change('freeze', name, order, (state, { stamp }) => updateContext(state, name, { freeze: stamp })),
    shadow: (name, percentage, order) =>
      change('shadow', name, order, (state, { stamp }) =>
        updateContext(state, name, { shadow: percentage === null ? null : { ...stamp, percentage } }),
      ),
    rule: (name, difference, ruling, order) =>
      change('rule', name, order, (state, { stamp }) => addNote(state, name, difference, { ...stamp, ruling })),
    resolve: (name, difference, order) =>
      change('resolve', name, order, (state, { stamp }) =>
        addNote(state, name, difference, { ...stamp, resolvedAt: stamp.at }),
      ),
    thaw: (name, order) => change('thaw', name, order, (state) => updateContext(state, name, { freeze: null })),
    verifyHistory: () => store.verifyHistory(),
    history: (query) => store.history(query),
    fleet: async () => fleet,
    watch: (listener) =>
      store.onChange((state) => listener({ generation: state.generation, state, localKill: [], killFileProblems: [] })),
    recordRefusedCaller: async (facts) => void control.refusedCallers.push(facts),
  }
  return control

  function viewOf(name: string): ContextView {
    const state = store.current().contexts
    const { pin, freeze, flip, shadow, changed } =
      (Object.hasOwn(state, name) ? state[name] : undefined) ?? EMPTY_CONTEXT
    return {
      name,
      owner: 'team',
      flag: name,
      service: name,
      percentage: flip?.percentage ?? 0,
      why: null,
      isForMatching: false,
      serving: pin?.side ?? 'legacy',
      pin,
      freeze,
      flip,
      shadow: shadow ?? null,
      generation: changed?.generation ?? 0,
      rollback: name === 'orders' ? 'forward-only' : 'allowed',
      lastMinute: { legacy: 3, service: 1 },
      fallback: 'reads',
      upstream: { addresses: 1, available: 1, unavailable: [] },
    }
  }

  type ChangeFacts = { readonly stamp: { by: string; reason: string | null; at: number }; readonly generation: number }

  async function change(
    verb: Verb,
    context: string | null,
    order: ChangeRequest,
    make: (state: SharedState, facts: ChangeFacts) => SharedState,
    until: number | null = null,
  ): Promise<ChangeResult> {
    control.changeRequests.push({ verb, context, order })
    if (control.next !== undefined) {
      const { next } = control
      control.next = undefined
      return next
    }
    if (context !== null && !CONTEXTS.includes(context)) {
      return { kind: 'unknown-context', why: `there is no "${context}"`, known: CONTEXTS }
    }
    const state = store.current()
    const seen = context === null ? state.generation : viewOf(context).generation
    if (order.ifGeneration !== undefined && order.ifGeneration !== seen) {
      return { kind: 'conflict', why: 'another change came first', generation: seen }
    }
    const generation = state.generation + 1
    const stamp = { by: order.by, reason: order.reason, at: clock.wallTime() }
    const made = make(state, { stamp, generation })
    const next = context === null ? made : updateContext(made, context, { changed: { ...stamp, verb, generation } })
    await store.commit({ ...next, generation }, entryOf(verb, context, order, generation, clock))
    return {
      kind: 'done',
      verb,
      context,
      before: null,
      after: 1,
      generation,
      until,
      convergence: CONVERGED,
      note: null,
    }
  }
}

const CONVERGED = { applied: 1, of: 1, ms: 4, laggards: [], inFlight: 0 } as const

const FLAGS = {
  source: 'file',
  location: 'flags.json',
  flags: 2,
  ageMs: undefined,
  stale: true,
  trouble: undefined,
  isRefused: false,
} as const

function updateContext(state: SharedState, name: string, more: Partial<SharedState['contexts'][string]>): SharedState {
  const context = Object.hasOwn(state.contexts, name) ? state.contexts[name] : undefined
  return { ...state, contexts: { ...state.contexts, [name]: { ...EMPTY_CONTEXT, ...context, ...more } } }
}

function addNote(
  state: SharedState,
  name: string,
  { fingerprint, route, field }: DifferenceKey,
  changes: Partial<DifferenceNote> & Stamp,
): SharedState {
  const { differences = {} } = (Object.hasOwn(state.contexts, name) ? state.contexts[name] : undefined) ?? {}
  const note = { ruling: null, resolvedAt: null, ...differences[fingerprint], route, field, ...changes }
  return updateContext(state, name, { differences: { ...differences, [fingerprint]: note } })
}

function member(clock: Clock) {
  return {
    id: 'g1',
    version: '1.0.0',
    address: 'http://127.0.0.1:8081',
    startedAt: clock.wallTime(),
    applied: 0,
    percentages: { catalog: 10, orders: null },
    flags: { source: 'flags.json', stale: false, ageMs: null },
    localKill: [],
    inFlight: { catalog: { legacy: 0, service: 1 } },
    lastMinute: { catalog: { legacy: 3, service: 1 } },
    silentMs: 12,
    isConverged: true,
    lag: null,
  }
}

function entryOf(
  verb: Verb,
  context: string | null,
  order: ChangeRequest,
  generation: number,
  clock: Clock,
): AuditEntry {
  return {
    at: clock.wallTime(),
    actor: order.by,
    address: order.address,
    verb,
    context,
    before: null,
    after: null,
    reason: order.reason,
    until: null,
    result: 'done',
    detail: null,
    generation,
    gateway: 'g1',
  }
}

const EXPLAINED: Explanation = {
  kind: 'refused',
  request: 'GET /x',
  failure: 'malformed',
  status: 400,
  detail: 'no reason',
}

export type TestAdmin = {
  readonly control: TestControl
  readonly clock: ManualClock
  readonly events: { readonly name: string; readonly facts: unknown }[]
  readonly options: AdminOptions & { readonly api: ApiServices }
  readonly app: Express
  /** Sends a request with a token, by default the valid one; null sends no token. */
  readonly ask: (
    method: 'get' | 'head' | 'put' | 'post' | 'delete' | 'patch' | 'options',
    path: string,
    token?: string | null,
  ) => request.Test
}

/** An admin server without a port, closed at the end of the test. */
export async function createTestAdmin(
  more: Partial<ApiServices> = {},
  moreOptions: Partial<AdminOptions> = {},
): Promise<TestAdmin> {
  const clock = manualClock()
  const control = createTestControl(clock)
  const events: { name: string; facts: unknown }[] = []
  const options = {
    host: '127.0.0.1',
    port: 0,
    allowedHosts: ['admin.internal'],
    registry: new Registry(),
    readiness: () => READY,
    events: recordEvents(events),
    ...moreOptions,
    api: {
      control,
      explain: async () => EXPLAINED,
      comparisons: reportsOn({ counts: [FAULTY], examples: [storedExampleOf()] }, { state: control.state }),
      auth: { stateDir: '/nowhere', token: TOKEN, jwt: undefined, findKey: () => 'unknown' as const },
      clock,
      requireReason: false,
      ...more,
    },
  }
  const { app, close } = await createAdminApp(options)
  onTestFinished(close)
  const ask: TestAdmin['ask'] = (method, path, token = TOKEN) => {
    const test = request(app)[method](`/api/v1${path}`)
    return token === null ? test : test.set('Authorization', `Bearer ${token}`)
  }
  return { control, clock, events, options, app, ask }
}

type ServedAdmin = TestAdmin & { readonly port: number; readonly stop: () => Promise<void> }

/** An admin server on a port, for tests that need sockets. */
export async function startTestAdmin(more: Partial<ApiServices> = {}): Promise<ServedAdmin> {
  const admin = await createTestAdmin(more)
  const { port, close } = await startAdmin(admin.options)
  onTestFinished(close)
  return { ...admin, port, stop: close }
}

export const READY = {
  status: 'ready',
  edition: 1,
  generation: 0,
  killed: false,
  store: { kind: 'memory', connected: true, cutOffSeconds: 0 },
  stateFolder: { writable: true, code: null, since: null },
  flags: { source: 'flags.json', ageSeconds: 0, stale: false, refused: false },
  upstreams: [],
  rejectedFiles: [],
} as const

/** Events that records each call with its name. */
function recordEvents(events: { name: string; facts: unknown }[]): Events {
  return new Proxy({} as Events, {
    get: (_, name) => (facts: unknown) => void events.push({ name: String(name), facts }),
  })
}

type SentEvent = { readonly id: string; readonly name: string; readonly text: string }

/** Server-sent events, without the comments between them. */
export async function* eventsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<SentEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const blocks = `${rest}${decoder.decode(chunk, { stream: true })}`.split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`(?:^|\\n)${name}: ([^\\n]*)`).exec(block)?.[1] ?? ''
      if (field('data') !== '') yield { id: field('id'), name: field('event'), text: field('data') }
    }
  }
}
