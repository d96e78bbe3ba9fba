// What became of a change, as a person reads it: what it is now, where it is in force, and what to know beside.
import type { ChangeResponse } from '../../admin/contract/change-requests.ts'
import { differenceIn, saidOf } from './difference-summary.ts'
import { showDuration, showEnd } from './durations.ts'
import { count, paint, type Screen } from './print.ts'

/** @param now milliseconds since 1970 */
export function tellDone(done: ChangeResponse, now: number, on: Screen): string {
  const { context, convergence, note } = done
  const { laggards, inFlight } = convergence
  const subject = context === null ? '' : `${paint({ text: context, tone: 'strong' }, on)}: `
  return [
    `${subject}${paint(whatIsNow(done, now), on)}, ${whereInForce(done, on)}`,
    ...laggards.map(({ id, address, why }) => paint(`  ${id} at ${address}: ${why}`, on)),
    // Who is killed by hand, one by one, hears of nothing.
    ...(laggards.every(({ address }) => address === 'unknown')
      ? []
      : ['  They apply it as soon as they hear of it: strangler fleet shows when.']),
    ...(inFlight === 0
      ? []
      : [
          `  ${count(inFlight, 'request')} begun before ${inFlight === 1 ? 'is' : 'are'} still answered by the old side`,
        ]),
    ...writesToService(done),
    ...(note === null ? [] : [paint(`  note: ${note}`, on)]),
    ...next(done),
  ].join('\n')
}

/** What legacy may lack: an operator who goes back must know. */
function writesToService({ verb, context, convergence: { serviceWrites } }: ChangeResponse): string[] {
  if (serviceWrites === undefined) return []
  const { isLowerBound } = serviceWrites
  if (serviceWrites.count === 0 && (verb === 'flip' || !isLowerBound)) return []
  const writes = `${isLowerBound ? 'at least ' : ''}${count(serviceWrites.count, 'write')}`
  const [who, what] = context === null ? ['the services have', 'each context'] : ['the service has', 'the context']
  return [`  ${who} answered ${writes} since ${what} was last at 0 %`]
}

function whatIsNow({ verb, before, after, until }: ChangeResponse, now: number): string {
  switch (verb) {
    case 'flip':
      return typeof before === 'number' && before !== after ? `${before} % → ${after} %` : `at ${after} %`
    case 'pin':
      return `pinned to ${sideOf(after)} ${showEnd(until, now)}`
    case 'unpin':
      return before === null ? 'not pinned' : `no longer pinned to ${sideOf(before)}`
    case 'rollback':
      return 'rolled back, everything to legacy'
    case 'freeze':
      return 'frozen: only rollback and kill may move it'
    case 'thaw':
      return 'thawed'
    case 'shadow':
      return shadowedAt(before, after)
    case 'rule':
      return ruledOn(after)
    case 'resolve':
      return `${differenceIn(after)} is resolved`
    case 'forget':
      return `${String(before)} is forgotten: no change waits for it`
    case 'kill':
      return 'everything goes to legacy'
    case 'revive':
      return 'traffic flows as decided'
    default:
      return verb
  }
}

function sideOf(pin: unknown): string {
  return typeof pin === 'object' && pin !== null && 'side' in pin ? String(pin.side) : 'a side'
}

function shadowedAt(before: unknown, after: unknown): string {
  if (typeof after !== 'number') return 'shadowed as its config says'
  return `shadowed at ${typeof before === 'number' && before !== after ? `${before} % → ` : ''}${after} %`
}

function ruledOn(after: unknown): string {
  const said = saidOf(after)
  return `${differenceIn(after)} is ${said === '-' ? 'left to the numbers' : said}`
}

function whereInForce({ converged, convergence }: ChangeResponse, on: Screen): string {
  const { applied, of, ms } = convergence
  if (converged) return `applied on ${applied} of ${of} gateways in ${showDuration(ms)}`
  const known = of === 0 ? 'it is not known on which gateways' : `applied on ${applied} of ${of} gateways only`
  return paint({ text: `${known}, after ${showDuration(ms)}; not yet on:`, tone: 'bad' }, on)
}

/** What whoever acted in a hurry has to do later. */
function next({ verb, context }: ChangeResponse): string[] {
  if (verb === 'kill') return ['next: strangler revive ends it; pins and percentages are as they were then']
  if (verb !== 'rollback') return []
  return [
    `next: strangler status shows who answers now`,
    `      strangler unpin ${context} when it is mended: its flag decides again`,
  ]
}
