// Where an Unleash is the authority: what was changed in it by others goes on record, and the 0 of a rollback that could
// not be written is written when Unleash can be reached, unless its context was changed meanwhile.
import { BUILT_IN_ACTORS } from '../../../model/built-in-actors.ts'
import type { FlagWriteResult, FlagWriter } from '../../../model/ports.ts'
import type { Context } from '../../../model/route.ts'
import { EMPTY_CONTEXT, type Flip, type SharedState, type Stamp } from '../../../model/shared-state.ts'
import type { Recorder } from '../../audit/recorder.ts'
import { contextOf } from '../../commands/verbs.ts'
import type { ControlOptions } from '../../create-control.ts'
import { SETTLED_MS } from '../../fleet/expected-percentages.ts'

export type Outside = {
  readonly start: () => void
  /** After a rollback. @returns what a person should know; undefined if the flag is at 0. Never rejects */
  readonly setToZero: (context: Context, said: Omit<Stamp, 'at'>) => Promise<string | undefined>
  readonly stop: () => void
}

type Options = ControlOptions & { readonly recorder: Recorder }

const LOOK_EVERY_MS = 1000
const ZERO_EVERY_MS = 5000
/** A list is asked for rather than waited for, but not all the time where an Unleash is down. */
const READ_AGAIN_MS = 3000
const WHO = BUILT_IN_ACTORS.unleash

export function createOutside({ store, clock, events, flags, writer, contexts, self, recorder }: Options): Outside {
  let timer: NodeJS.Timeout | undefined
  let isLooking = false
  let readAgainAt = Number.NEGATIVE_INFINITY
  /** By context: a percentage that is not the one on record, and since when it is seen. */
  const seen = new Map<string, { readonly percentage: number | null; readonly since: number }>()
  /** By context: what was there when we first looked, where nothing is on record. */
  const first = new Map<string, number | null>()
  /** By context: the rollback whose 0 was seen in Unleash. What is there after that is another's word. */
  const zeroed = new Map<string, number>()
  /** By context: when its 0 was last tried, and the percentage of a flag that cannot be set to it. */
  const tried = new Map<string, { readonly at: number; readonly refusedAt: number | null | undefined }>()

  return { start, setToZero, stop: () => clearInterval(timer) }

  function start(): void {
    timer = setInterval(() => void look(), LOOK_EVERY_MS)
    timer.unref()
    void look()
  }

  /** One look at a time, however long an Unleash takes. */
  async function look(): Promise<void> {
    if (isLooking || flags.status().stale) return
    isLooking = true
    for (const context of contexts().values()) {
      const { flip } = contextOf(store.current(), context.name, store.wallTime())
      if (flip !== null && owesZero(context, flip)) await zeroAgain(context, flip)
      else if (isSettled(context)) await putOnRecord(context, flags.percentage(context.flag).percentage).catch(() => {})
    }
    isLooking = false
  }

  /** Whether what we have of Unleash is from after that, and long enough for what was written then to be in it. */
  function isReadSince(at: number): boolean {
    const { ageMs, trouble } = flags.status()
    return trouble === undefined && ageMs !== undefined && store.wallTime() - ageMs >= at + SETTLED_MS
  }

  function owesZero({ name, flag }: Context, flip: Flip): boolean {
    if (flip.byRollback !== true || zeroed.get(name) === flip.generation) return false
    if (flags.percentage(flag).percentage === 0 && isReadSince(flip.at)) zeroed.set(name, flip.generation)
    return true
  }

  function isSettled({ name, flag }: Context): boolean {
    const { percentage } = flags.percentage(flag)
    const { flip, changed } = contextOf(store.current(), name, store.wallTime())
    if (!first.has(name)) first.set(name, percentage)
    // Somebody has put on record that no one percentage says it.
    if (flip === null && changed?.verb === 'outside') first.set(name, null)
    if (percentage === (flip?.percentage ?? first.get(name))) {
      seen.delete(name)
      return false
    }
    const sight = seen.get(name)
    if (sight?.percentage === percentage) {
      if (clock.now() - sight.since < SETTLED_MS) return false
      if (isReadSince(Math.max(flip?.at ?? 0, changed?.at ?? 0))) return true
      readAgain()
      return false
    }
    seen.set(name, { percentage, since: clock.now() })
    return false
  }

  /** The next poll may be a quarter of a minute away. */
  function readAgain(): void {
    if (clock.now() - readAgainAt < READ_AGAIN_MS) return
    readAgainAt = clock.now()
    void flags.refresh()
  }

  /** Every gateway sees it; the first commits, and for the others it is on record then. */
  async function putOnRecord({ name, flag }: Context, percentage: number | null): Promise<void> {
    const state = await store.read()
    const was = contextOf(state, name, store.wallTime())
    const pending = was.flip !== null && isPendingZero(name, was.flip) ? was.flip : undefined
    const before = pending === undefined ? (was.flip?.percentage ?? first.get(name) ?? null) : replacedFirst(pending)
    if (pending === undefined && percentage === before) return
    const at = store.wallTime()
    const stamp = { by: WHO, reason: null, at }
    const generation = state.generation + 1
    const flip = percentage === null ? null : { ...stamp, flag, percentage, generation }
    const changed = { ...stamp, verb: 'outside' as const, generation }
    const next = withContext(state, name, { ...EMPTY_CONTEXT, ...was, flip, changed })
    const dropped =
      pending === undefined ? '' : `; the pending write of 0 % for the rollback by ${pending.by} is dropped`
    const detail = `flag "${flag}" was changed in Unleash itself${dropped}`
    const committed = await store.commit(next, {
      at,
      actor: WHO,
      address: null,
      verb: 'outside',
      context: name,
      before,
      after: percentage,
      reason: null,
      until: null,
      result: 'done',
      detail,
      generation,
      gateway: self.id,
    })
    if (!committed.ok) return
    first.set(name, percentage)
    events.changed({
      verb: 'outside',
      context: name,
      by: WHO,
      reason: null,
      result: 'done',
      before,
      after: percentage,
      detail,
    })
  }

  async function zeroAgain(context: Context, flip: Flip): Promise<void> {
    const { name, flag } = context
    const { percentage } = flags.percentage(flag)
    if (percentage === 0) return
    if (!mayReplace(flip, percentage) && isReadSince(flip.at)) return putOnRecord(context, percentage).catch(() => {})
    const last = tried.get(name)
    if (writer === undefined) return
    if (last !== undefined && (clock.now() - last.at < ZERO_EVERY_MS || last.refusedAt === percentage)) return
    const { written, changedTo } = await writeZero(context, flip, flip)
    if (changedTo !== undefined) return putOnRecord(context, changedTo.percentage).catch(() => {})
    if (written.kind !== 'written' || written.before === 0) return
    const facts = { verb: 'rollback' as const, context: name, reason: flip.reason, before: written.before, after: 0 }
    const detail = `flag "${flag}" is at 0 in Unleash now`
    events.changed({ ...facts, by: flip.by, result: 'done', detail })
    const where = { at: store.wallTime(), actor: flip.by, address: null, gateway: self.id }
    await recorder.record({ ...facts, ...where, result: 'done', until: null, generation: null, detail })
  }

  async function setToZero(context: Context, said: Omit<Stamp, 'at'>): Promise<string | undefined> {
    const written = writer === undefined ? NO_WRITER : (await writeZero(context, said, undefined)).written
    if (written.kind === 'written') return undefined
    const again = written.kind === 'failed' ? ': it is tried again until it is written' : ''
    return `the pin holds it at legacy; its flag could not be set to 0 (${written.reason})${again}`
  }

  /** @param pending the flip of an earlier rollback: its 0 is written only over what the rollback replaces */
  async function writeZero(
    context: Context,
    { by, reason }: Omit<Stamp, 'at'>,
    pending: Flip | undefined,
  ): Promise<Attempt> {
    const { name, flag } = context
    const { percentage } = flags.percentage(flag)
    const at = clock.now()
    let changedTo: Attempt['changedTo']
    let hasObjected = false
    const objection = async (current: number | null) => {
      const why =
        (await objectionOfStore(name, pending !== undefined)) ?? (pending && objectionOfUnleash(pending, current))
      hasObjected = why !== undefined
      if (why === CHANGED_OUTSIDE) changedTo = { percentage: current }
      return why
    }
    tried.set(name, { at, refusedAt: undefined })
    const written = await (writer as FlagWriter).setPercentage(flag, 0, { context: name, by, reason, objection })
    if (written.kind === 'written') void flags.refresh([flag])
    if (written.kind === 'refused' && !hasObjected) tried.set(name, { at, refusedAt: percentage })
    return { written, changedTo }
  }

  /** While the store cannot be read, others may have changed the context: only the rollback's own first write goes on. */
  async function objectionOfStore(name: string, isPending: boolean): Promise<string | undefined> {
    const state = await store.read().catch(() => (isPending ? undefined : store.current()))
    if (state === undefined) return 'the store cannot be read'
    return contextOf(state, name, store.wallTime()).flip?.percentage === 0 ? undefined : 'the context was changed since'
  }

  function objectionOfUnleash(pending: Flip, percentage: number | null): string | undefined {
    return percentage === 0 || mayReplace(pending, percentage) ? undefined : CHANGED_OUTSIDE
  }

  function isPendingZero(name: string, flip: Flip): boolean {
    return flip.byRollback === true && zeroed.get(name) !== flip.generation
  }
}

type Attempt = {
  readonly written: FlagWriteResult
  /** Set where the write was dropped, as the flag has another percentage than the rollback replaces. */
  readonly changedTo: { readonly percentage: number | null } | undefined
}

const CHANGED_OUTSIDE = 'the flag was changed in Unleash since the rollback'

/** A rollback of the previous version does not state what it replaces. */
function mayReplace({ replaces }: Flip, percentage: number | null): boolean {
  return replaces === undefined || replaces.includes(percentage)
}

function replacedFirst({ replaces }: Flip): number | null {
  return replaces?.[0] ?? null
}

const NO_WRITER: FlagWriteResult = { kind: 'refused', reason: 'this gateway has no UNLEASH_ADMIN_TOKEN' }

function withContext(state: SharedState, name: string, context: SharedState['contexts'][string]): SharedState {
  return { ...state, generation: state.generation + 1, contexts: { ...state.contexts, [name]: context } }
}
