// What has changed between two events, in words. Pure.
import type { ChangeEvent } from '../../admin/contract/change-event.ts'
import { showEnd } from './durations.ts'

export type ChangeLine = {
  /** The context, or `everything`. */
  readonly what: string
  readonly became: string
  /** Who, when and why; undefined where that is not known. */
  readonly stamp: { readonly by: string; readonly at: number; readonly reason: string | null } | undefined
}

type Context = ChangeEvent['contexts'][number]

export function changesBetween(before: ChangeEvent, after: ChangeEvent): ChangeLine[] {
  const was = new Map(before.contexts.map((context) => [context.name, context]))
  const lines = [
    ...killChange(before, after),
    ...killFileChange(before, after),
    ...after.contexts.flatMap((context) => contextChanges(was.get(context.name), context, after)),
  ]
  // Flags that were changed outside, or a change that was taken back before we heard of it.
  return lines.length > 0 || before.generation === after.generation
    ? lines
    : [{ what: 'everything', became: `generation ${after.generation}`, stamp: undefined }]
}

function killChange(before: ChangeEvent, { kill }: ChangeEvent): ChangeLine[] {
  if ((before.kill === null) === (kill === null)) return []
  return kill === null
    ? [{ what: 'everything', became: 'revived: pins and flags decide', stamp: undefined }]
    : [{ what: 'everything', became: 'KILLED: all goes to legacy', stamp: kill }]
}

/** Of the gateway that sends the events. */
function killFileChange(before: ChangeEvent, after: ChangeEvent): ChangeLine[] {
  const [was = [], is = []] = [before.localKill, after.localKill]
  const known = new Set(before.killFileProblems)
  const line = (became: string): ChangeLine => ({ what: 'kill file of this gateway', became, stamp: undefined })
  const problems = (after.killFileProblems ?? []).filter((problem) => !known.has(problem)).map(line)
  if (was.join('\n') === is.join('\n')) return problems
  if (is.length === 0) return [line('has ended: pins and flags decide'), ...problems]
  return [line(`sends ${is.includes('*') ? 'everything' : is.join(', ')} to legacy`), ...problems]
}

function contextChanges(was: Context | undefined, is: Context, { changed, generation }: ChangeEvent): ChangeLine[] {
  if (was?.generation === is.generation && was.pin?.at === is.pin?.at) return []
  const isNew = was?.generation !== is.generation
  const isLast = isNew && changed?.context === is.name && is.generation === generation
  const stamp = isLast ? changed : undefined
  if (isLast && changed.verb === 'rollback') {
    return [{ what: is.name, became: 'rolled back: everything to legacy', stamp }]
  }
  const became = [
    ...flipChange(was, is),
    ...pinChange(was, is, stamp?.verb),
    ...freezeChange(was, is),
    ...shadowChange(was, is),
    ...differenceChange(stamp?.verb),
  ]
  return became.map((line) => ({
    what: is.name,
    became: line.became,
    stamp: line.isByItself ? line.stamp : (stamp ?? line.stamp),
  }))
}

/** `isByItself`: nobody did it, though somebody did something else after it. */
type Became = Omit<ChangeLine, 'what'> & { readonly isByItself?: boolean }

function flipChange(was: Context | undefined, { flip }: Context): Became[] {
  if (flip === null || was?.flip?.generation === flip.generation) return []
  const before = was?.flip?.percentage
  return [{ became: `${before === undefined ? '' : `${before} % `}→ ${flip.percentage} %`, stamp: flip }]
}

function pinChange(was: Context | undefined, { pin }: Context, verb: string | undefined): Became[] {
  const before = was?.pin ?? null
  if (pin?.at === before?.at && pin?.side === before?.side) return []
  if (pin === null && before?.until && verb !== 'unpin') {
    const stamp = { by: 'its end', at: before.until, reason: null }
    return [{ became: `no longer pinned to ${before.side}`, stamp, isByItself: true }]
  }
  if (pin === null) return [{ became: `no longer pinned to ${before?.side}`, stamp: undefined }]
  return [{ became: `pinned to ${pin.side} ${showEnd(pin.until, pin.at)}`, stamp: pin }]
}

function freezeChange(was: Context | undefined, { freeze }: Context): Became[] {
  if (((was?.freeze ?? null) === null) === (freeze === null)) return []
  return freeze === null ? [{ became: 'thawed', stamp: undefined }] : [{ became: 'frozen', stamp: freeze }]
}

function shadowChange(was: Context | undefined, { shadow }: Context): Became[] {
  const before = was?.shadow ?? null
  if (before?.percentage === shadow?.percentage) return []
  if (shadow === null) return [{ became: 'shadowed as its config says', stamp: undefined }]
  return [
    {
      became: `shadowed at ${before === null ? '' : `${before.percentage} % → `}${shadow.percentage} %`,
      stamp: shadow,
    },
  ]
}

/** Events do not carry what is said of each difference: the audit log does. */
function differenceChange(verb: string | undefined): Became[] {
  if (verb === 'rule') return [{ became: 'a difference was ruled on', stamp: undefined }]
  return verb === 'resolve' ? [{ became: 'a difference was resolved', stamp: undefined }] : []
}
