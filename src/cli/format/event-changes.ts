// Describes what changed between two events. Pure.
import type { ChangeEvent } from '../../admin/contract/change-event.ts'
import { showEnd } from './durations.ts'

export type ChangeLine = {
  /** The context, or `everything`. */
  readonly subject: string
  readonly change: string
  /** Who, when and why; undefined if the events do not contain it. */
  readonly stamp: { readonly by: string; readonly at: number; readonly reason: string | null } | undefined
}

type ContextInEvent = ChangeEvent['contexts'][number]

export function changesBetween(previous: ChangeEvent, current: ChangeEvent): ChangeLine[] {
  const previousContexts = new Map(previous.contexts.map((context) => [context.name, context]))
  const lines = [
    ...killChange(previous, current),
    ...killFileChange(previous, current),
    ...current.contexts.flatMap((context) => contextChanges(previousContexts.get(context.name), context, current)),
  ]
  // A new generation without a visible change: flags changed outside, or a change that was undone before this event.
  return lines.length > 0 || previous.generation === current.generation
    ? lines
    : [{ subject: 'everything', change: `generation ${current.generation}`, stamp: undefined }]
}

function killChange(previous: ChangeEvent, { kill }: ChangeEvent): ChangeLine[] {
  if ((previous.kill === null) === (kill === null)) return []
  return kill === null
    ? [{ subject: 'everything', change: 'revived: pins and flags decide', stamp: undefined }]
    : [{ subject: 'everything', change: 'KILLED: all goes to legacy', stamp: kill }]
}

/** The kill file of the gateway that sends the events. */
function killFileChange(previous: ChangeEvent, current: ChangeEvent): ChangeLine[] {
  const [previousKill = [], currentKill = []] = [previous.localKill, current.localKill]
  const previousProblems = new Set(previous.killFileProblems)
  const line = (change: string): ChangeLine => ({ subject: 'kill file of this gateway', change, stamp: undefined })
  const problems = (current.killFileProblems ?? []).filter((problem) => !previousProblems.has(problem)).map(line)
  if (previousKill.join('\n') === currentKill.join('\n')) return problems
  if (currentKill.length === 0) return [line('has ended: pins and flags decide'), ...problems]
  return [line(`sends ${currentKill.includes('*') ? 'everything' : currentKill.join(', ')} to legacy`), ...problems]
}

function contextChanges(
  previous: ContextInEvent | undefined,
  current: ContextInEvent,
  { changed, generation }: ChangeEvent,
): ChangeLine[] {
  if (previous?.generation === current.generation && previous.pin?.at === current.pin?.at) return []
  const { name } = current
  const isNew = previous?.generation !== current.generation
  const isLast = isNew && changed?.context === name && current.generation === generation
  const stamp = isLast ? changed : undefined
  if (isLast && changed.verb === 'rollback') {
    return [{ subject: name, change: 'rolled back: everything to legacy', stamp }]
  }
  const changes = [
    ...flipChange(previous, current),
    ...pinChange(previous, current, stamp?.verb),
    ...freezeChange(previous, current),
    ...shadowChange(previous, current),
    ...differenceChange(stamp?.verb),
  ]
  return changes.map((line) => ({
    subject: name,
    change: line.change,
    stamp: line.isAutomatic ? line.stamp : (stamp ?? line.stamp),
  }))
}

/** `isAutomatic`: no operator made the change, such as the end of a pin, although another change followed it. */
type ContextChangeLine = Omit<ChangeLine, 'subject'> & { readonly isAutomatic?: boolean }

function flipChange(previous: ContextInEvent | undefined, { flip }: ContextInEvent): ContextChangeLine[] {
  if (flip === null || previous?.flip?.generation === flip.generation) return []
  const percentage = previous?.flip?.percentage
  return [{ change: `${percentage === undefined ? '' : `${percentage} % `}→ ${flip.percentage} %`, stamp: flip }]
}

function pinChange(
  previous: ContextInEvent | undefined,
  { pin }: ContextInEvent,
  verb: string | undefined,
): ContextChangeLine[] {
  const previousPin = previous?.pin ?? null
  if (pin?.at === previousPin?.at && pin?.side === previousPin?.side) return []
  if (pin === null && previousPin?.until && verb !== 'unpin') {
    const stamp = { by: 'its end', at: previousPin.until, reason: null }
    return [{ change: `no longer pinned to ${previousPin.side}`, stamp, isAutomatic: true }]
  }
  if (pin === null) return [{ change: `no longer pinned to ${previousPin?.side}`, stamp: undefined }]
  return [{ change: `pinned to ${pin.side} ${showEnd(pin.until, pin.at)}`, stamp: pin }]
}

function freezeChange(previous: ContextInEvent | undefined, { freeze }: ContextInEvent): ContextChangeLine[] {
  if (((previous?.freeze ?? null) === null) === (freeze === null)) return []
  return freeze === null ? [{ change: 'thawed', stamp: undefined }] : [{ change: 'frozen', stamp: freeze }]
}

function shadowChange(previous: ContextInEvent | undefined, { shadow }: ContextInEvent): ContextChangeLine[] {
  const previousShadow = previous?.shadow ?? null
  if (previousShadow?.percentage === shadow?.percentage) return []
  if (shadow === null) return [{ change: 'shadowed as its config says', stamp: undefined }]
  const from = previousShadow === null ? '' : `${previousShadow.percentage} % → `
  return [{ change: `shadowed at ${from}${shadow.percentage} %`, stamp: shadow }]
}

/** Events do not contain rulings and resolutions; the audit log does. */
function differenceChange(verb: string | undefined): ContextChangeLine[] {
  if (verb === 'rule') return [{ change: 'a difference was ruled on', stamp: undefined }]
  return verb === 'resolve' ? [{ change: 'a difference was resolved', stamp: undefined }] : []
}
