// What each verb makes of the shared state, as pure functions: a state and a command go in, the next state or a refusal
// comes out. Whoever has the store commits it.
import type { Context, Side } from '../../model/route.ts'
import {
  type ContextState,
  EMPTY_CONTEXT,
  type EmbeddedFlags,
  type Flip,
  type Pin,
  type SharedState,
  type Stamp,
} from '../../model/shared-state.ts'
import type { DifferenceKey, Ruling } from '../control.ts'
import { percentageAmong, withPercentage } from '../flags/embedded/embedded-writer.ts'
import { resolve, rule, type Step, shadow } from '../shadowing.ts'
import { refusalOf } from './percentage.ts'

export type Command =
  | { readonly verb: 'flip'; readonly context: string; readonly percentage: number }
  | { readonly verb: 'pin'; readonly context: string; readonly side: Side; readonly until: number | null }
  | { readonly verb: 'unpin' | 'freeze' | 'thaw'; readonly context: string }
  | { readonly verb: 'rollback'; readonly context: string; readonly isForced: boolean }
  | { readonly verb: 'shadow'; readonly context: string; readonly percentage: number | null }
  | {
      readonly verb: 'rule'
      readonly context: string
      readonly difference: DifferenceKey
      readonly ruling: Ruling | null
    }
  | { readonly verb: 'resolve'; readonly context: string; readonly difference: DifferenceKey }
  | { readonly verb: 'kill' | 'revive' }

export type Circumstances = {
  /** Who says it, why, and when by the store's clock. */
  readonly stamp: Stamp
  /** The context of the command as the config has it; undefined for `kill` and `revive`. */
  readonly context: Context | undefined
  /** What an Unleash, if it is the authority, has of the context's flag; undefined where flags are part of the state. */
  readonly unleash: { readonly percentage: number | null } | undefined
}

export type Turn =
  | {
      readonly kind: 'change'
      readonly next: SharedState
      readonly before: unknown
      readonly after: unknown
      readonly until: number | null
      readonly note: string | null
    }
  /** It is so already. */
  | { readonly kind: 'unchanged'; readonly is: unknown; readonly note: string }
  | { readonly kind: 'refused'; readonly why: string }

/** The state after a command. Pure. */
export function turn(state: SharedState, command: Command, circumstances: Circumstances): Turn {
  switch (command.verb) {
    case 'kill':
      return kill(state, circumstances.stamp)
    case 'revive':
      return revive(state, circumstances.stamp)
    default:
      return turnContext(state, command, circumstances)
  }
}

type ContextCommand = Exclude<Command, { verb: 'kill' | 'revive' }>

/** A freeze is about where traffic goes: what is only compared goes on, and the way back to legacy is never shut. */
const WORKS_WHILE_FROZEN: ReadonlySet<ContextCommand['verb']> = new Set([
  'thaw',
  'rollback',
  'shadow',
  'rule',
  'resolve',
])

function turnContext(state: SharedState, command: ContextCommand, circumstances: Circumstances): Turn {
  const { stamp, context } = circumstances
  if (context === undefined) throw new Error(`${command.verb} without a context`)
  const was = contextOf(state, command.context, stamp.at)
  const { freeze } = was
  if (freeze !== null && !WORKS_WHILE_FROZEN.has(command.verb)) {
    const since = `since ${new Date(freeze.at).toISOString()}${freeze.reason === null ? '' : ` (${freeze.reason})`}`
    if (command.verb === 'freeze')
      return { kind: 'unchanged', is: 'frozen', note: `it is frozen by ${freeze.by} ${since}` }
    return refused(
      `"${command.context}" is frozen by ${freeze.by} ${since}: thaw it first; rollback and kill still work`,
    )
  }
  switch (command.verb) {
    case 'flip':
      return flip(state, was, command, { ...circumstances, context })
    case 'pin':
      return pin(state, was, command, { ...circumstances, context })
    case 'unpin':
      return unpin(state, was, command.context, { ...circumstances, context })
    case 'rollback':
      return rollback(state, was, command, { ...circumstances, context })
    case 'freeze':
      return changed(state, command, stamp, { ...was, freeze: stamp }, { before: 'thawed', after: 'frozen' })
    case 'thaw':
      if (freeze === null) return { kind: 'unchanged', is: 'thawed', note: 'it was not frozen' }
      return changed(state, command, stamp, { ...was, freeze: null }, { before: 'frozen', after: 'thawed' })
    case 'shadow':
      return taken(state, command, stamp, shadow(was, command.percentage, stamp, state.kill !== null))
    case 'rule':
      return taken(state, command, stamp, rule(was, command.difference, command.ruling, stamp))
    case 'resolve':
      return taken(state, command, stamp, resolve(was, command.difference, stamp))
  }
}

/** A context's own part; a pin that has come to its end is none. */
export function contextOf(state: SharedState, name: string, now: number): ContextState {
  const known = Object.hasOwn(state.contexts, name) ? state.contexts[name] : undefined
  if (known === undefined) return EMPTY_CONTEXT
  const isOver = known.pin?.until !== null && known.pin !== null && known.pin.until <= now
  return isOver ? { ...known, pin: null } : known
}

type InContext = Circumstances & { readonly context: Context }

function flip(
  state: SharedState,
  was: ContextState,
  command: Extract<Command, { verb: 'flip' }>,
  circumstances: InContext,
): Turn {
  const { percentage } = command
  const { stamp, context, unleash } = circumstances
  const refusal = refusalOf(percentage)
  if (refusal !== undefined) return refused(refusal)
  const before = percentageNow(state, circumstances)
  const isOnRecord = unleash === undefined || was.flip?.percentage === percentage
  const above = standingAbove(state, was)
  if (before === percentage && isOnRecord)
    return { kind: 'unchanged', is: percentage, note: sentences(`it is at ${percentage} % already`, above) ?? '' }
  const generation = state.generation + 1
  const next: ContextState = { ...was, flip: { ...stamp, flag: context.flag, percentage, generation } }
  const note = sentences(above, percentage < (before ?? 0) ? goingBack(context) : null)
  if (unleash !== undefined) return changed(state, command, stamp, next, { before, after: percentage, note })
  const moved = withPercentage(state.flags ?? NO_FLAGS, context.flag, percentage)
  if (moved.kind === 'refused') return refused(moved.reason)
  return changed({ ...state, flags: moved.flags }, command, stamp, next, { before, after: percentage, note })
}

function pin(
  state: SharedState,
  was: ContextState,
  command: Extract<Command, { verb: 'pin' }>,
  circumstances: InContext,
): Turn {
  const { side, until } = command
  const { stamp, context } = circumstances
  if (until !== null && !(Number.isFinite(until) && until > stamp.at))
    return refused('a pin must end later than now: say for how long, or that it has no end')
  const after: Pin = { ...stamp, side, until }
  const replaced = was.pin === null ? null : `it was ${pinned(was.pin)} ${endOf(was.pin)}: that pin is gone`
  const note = sentences(state.kill === null ? null : KILLED, replaced, side === 'legacy' ? goingBack(context) : null)
  const next = {
    ...was,
    pin: after,
    flip: side === 'service' ? withoutPendingZero(state, was, circumstances) : was.flip,
  }
  return changed(state, command, stamp, next, { before: shown(was.pin), after: shown(after), until, note })
}

/**
 * The flip after a command that ends a rollback. A 0 that Unleash does not have yet is dropped, and the percentage of
 * Unleash counts; a 0 that it has stays, and any change of it from here on is somebody's own.
 */
function withoutPendingZero(state: SharedState, { flip }: ContextState, circumstances: InContext): Flip | null {
  const { stamp, context, unleash } = circumstances
  if (flip?.byRollback !== true || unleash === undefined) return flip
  const { byRollback: _, replaces: __, ...settled } = flip
  const { percentage } = unleash
  if (percentage === 0) return settled
  return percentage === null ? null : { ...stamp, flag: context.flag, percentage, generation: state.generation + 1 }
}

function unpin(state: SharedState, was: ContextState, name: string, circumstances: InContext): Turn {
  if (was.pin === null) return { kind: 'unchanged', is: null, note: 'it was not pinned' }
  const command = { verb: 'unpin', context: name } as const
  const { stamp } = circumstances
  const percentage = percentageNow(state, circumstances)
  const note = state.kill === null ? `its flag decides now${percentage === null ? '' : `, at ${percentage} %`}` : KILLED
  const next = { ...was, pin: null, flip: withoutPendingZero(state, was, circumstances) }
  return changed(state, command, stamp, next, { before: shown(was.pin), after: null, note })
}

/** The pin comes first, since it needs nobody; the flag goes to 0 where it is ours to move. */
function rollback(
  state: SharedState,
  was: ContextState,
  command: Extract<Command, { verb: 'rollback' }>,
  circumstances: InContext,
): Turn {
  const { stamp, context, unleash } = circumstances
  const flag = unleash === undefined ? atZero(state.flags, context.flag) : UNLEASH_S
  const after = { pin: 'legacy', percentage: flag.percentage }
  const { pin } = was
  const isAtZero = unleash === undefined ? flag.flags === undefined : was.flip?.percentage === 0
  if (pin?.side === 'legacy' && pin.until === null && isAtZero) {
    const already = `it is rolled back already: ${pinned(pin)} since ${new Date(pin.at).toISOString()}`
    return { kind: 'unchanged', is: after, note: sentences(already, flag.note) ?? '' }
  }
  if (context.rollback === 'forward-only' && !command.isForced) {
    return refused(
      `"${context.name}" is marked forward-only in the config: legacy may not be able to read what the service has written since. If that is better than what is happening now, say --force`,
    )
  }
  const zero = { ...stamp, flag: context.flag, percentage: 0, generation: state.generation + 1 }
  const flip =
    unleash !== undefined
      ? ({ ...zero, byRollback: true, replaces: replacedBy(was, unleash.percentage) } as const)
      : flag.percentage === 0
        ? zero
        : was.flip
  const next: ContextState = { ...was, pin: { ...stamp, side: 'legacy', until: null }, flip }
  const flags = flag.flags ?? state.flags
  const before = { pin: shown(pin), percentage: percentageNow(state, circumstances) }
  const note = sentences(state.kill === null ? null : KILLED, flag.note)
  return changed({ ...state, flags }, command, stamp, next, { before, after, note })
}

/** What this gateway has read, and what is on record: either may be the newer one. */
function replacedBy({ flip }: ContextState, percentage: number | null): (number | null)[] {
  const onRecord = flip === null ? [] : [flip.percentage, ...(flip.replaces ?? [])]
  return [...new Set([percentage, ...onRecord])]
}

type AtZero = {
  /** The flags with it at 0; undefined where nothing is to be moved. */
  readonly flags?: EmbeddedFlags
  readonly percentage: number | null
  readonly note: string | null
}

/** It is written there afterwards. */
const UNLEASH_S: AtZero = { percentage: 0, note: null }

/** A flag that is not there is for nobody. One that cannot be moved by one percentage stays: the pin stands above it. */
function atZero(flags: EmbeddedFlags | null, flag: string): AtZero {
  const is = flags?.features.some(({ name }) => name === flag) ? percentageAmong(flags, flag).percentage : 0
  if (flags === null || is === 0) return { percentage: 0, note: null }
  const moved = withPercentage(flags, flag, 0)
  if (moved.kind === 'moved') return { flags: moved.flags, percentage: 0, note: null }
  return { percentage: is, note: `the pin holds it at legacy; its flag could not be set to 0 (${moved.reason})` }
}

function kill(state: SharedState, stamp: Stamp): Turn {
  if (state.kill !== null) return { kind: 'unchanged', is: true, note: `the kill switch is on, by ${state.kill.by}` }
  const generation = state.generation + 1
  const next = { ...state, generation, kill: stamp, killChange: { ...stamp, verb: 'kill' as const, generation } }
  return { kind: 'change', next, before: false, after: true, until: null, note: null }
}

function revive(state: SharedState, stamp: Stamp): Turn {
  if (state.kill === null) return { kind: 'unchanged', is: false, note: 'the kill switch was not on' }
  const generation = state.generation + 1
  const next = { ...state, generation, kill: null, killChange: { ...stamp, verb: 'revive' as const, generation } }
  return { kind: 'change', next, before: true, after: false, until: null, note: null }
}

type Told = { before: unknown; after: unknown; until?: number | null; note?: string | null }

function changed(
  state: SharedState,
  command: ContextCommand,
  stamp: Stamp,
  next: ContextState,
  { before, after, until = null, note = null }: Told,
): Turn {
  const generation = state.generation + 1
  const context = { ...next, changed: { ...stamp, verb: command.verb, generation } }
  const contexts = { ...state.contexts, [command.context]: context }
  return { kind: 'change', next: { ...state, generation, contexts }, before, after, until, note }
}

function taken(state: SharedState, command: ContextCommand, stamp: Stamp, step: Step): Turn {
  return step.kind === 'step' ? changed(state, command, stamp, step.next, step) : step
}

/** What keeps a percentage from showing. */
function standingAbove(state: SharedState, { pin }: ContextState): string | null {
  if (state.kill !== null) return KILLED
  if (pin === null) return null
  return `it is pinned to ${pin.side} by ${pin.by} ${endOf(pin)}: the percentage shows after that`
}

/** What the flag says before the command. */
function percentageNow(state: SharedState, { unleash, context }: InContext): number | null {
  if (unleash !== undefined) return unleash.percentage
  return percentageAmong(state.flags ?? NO_FLAGS, context.flag).percentage
}

function goingBack({ name, rollback }: Context): string | null {
  if (rollback !== 'forward-only') return null
  return `"${name}" is marked forward-only in the config: legacy may not be able to read what the service has written since`
}

function pinned({ side, by, reason }: Pin): string {
  return `pinned to ${side} by ${by}${reason === null ? '' : ` (${reason})`}`
}

function endOf({ until }: Pin): string {
  return until === null ? 'until it is unpinned' : `until ${new Date(until).toISOString()}`
}

function sentences(...some: readonly (string | null)[]): string | null {
  return some.filter((one) => one !== null).join('; ') || null
}

const KILLED = 'the kill switch is on: everything is legacy’s until it is revived'
const NO_FLAGS: EmbeddedFlags = { version: 2, features: [] }

function shown(pin: Pin | null): unknown {
  return pin === null ? null : { side: pin.side, until: pin.until }
}

function refused(why: string): Turn {
  return { kind: 'refused', why }
}
