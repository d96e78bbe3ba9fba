// The result of a change for a person: the new state, the gateways that have applied it, and the next steps.
import type { ChangeResponse } from '../../admin/contract/change-requests.ts'
import { describeDifference, rulingOf } from './difference-summary.ts'
import { showDuration, showEnd } from './durations.ts'
import { countNoun, paint, type Screen } from './print.ts'

/** @param now milliseconds since 1970 */
export function changeLines(change: ChangeResponse, now: number, screen: Screen): string {
  const { context, convergence, note } = change
  const { laggards, inFlight } = convergence
  const subject = context === null ? '' : `${paint({ text: context, tone: 'strong' }, screen)}: `
  return [
    `${subject}${paint(newState(change, now), screen)}, ${convergenceText(change, screen)}`,
    ...laggards.map(({ id, address, why }) => paint(`  ${id} at ${address}: ${why}`, screen)),
    // While the store is unreachable a kill applies to one gateway, and the others (address unknown) get no message.
    ...(laggards.every(({ address }) => address === 'unknown')
      ? []
      : ['  They apply it when they receive it: strangler fleet shows when.']),
    ...(inFlight === 0
      ? []
      : [`  the old side still answers ${countNoun(inFlight, 'request')} that began before the change`]),
    ...serviceWriteLines(change),
    ...(note === null ? [] : [paint(`  note: ${note}`, screen)]),
    ...nextSteps(change),
  ].join('\n')
}

/** Legacy may lack these writes, so an operator who returns to legacy must know their number. */
function serviceWriteLines({ verb, context, convergence: { serviceWrites } }: ChangeResponse): string[] {
  if (serviceWrites === undefined) return []
  const { isLowerBound } = serviceWrites
  if (serviceWrites.count === 0 && (verb === 'flip' || !isLowerBound)) return []
  const writes = `${isLowerBound ? 'at least ' : ''}${countNoun(serviceWrites.count, 'write')}`
  const [services, contexts] =
    context === null ? ['the services have', 'each context'] : ['the service has', 'the context']
  return [`  ${services} answered ${writes} since ${contexts} was last at 0 %`]
}

function newState({ verb, before: previous, after: current, until }: ChangeResponse, now: number): string {
  switch (verb) {
    case 'flip':
      return typeof previous === 'number' && previous !== current ? `${previous} % → ${current} %` : `at ${current} %`
    case 'pin':
      return `pinned to ${sideOf(current)} ${showEnd(until, now)}`
    case 'unpin':
      return previous === null ? 'not pinned' : `no longer pinned to ${sideOf(previous)}`
    case 'rollback':
      return 'rolled back, everything to legacy'
    case 'freeze':
      return 'frozen: only rollback and kill may move it'
    case 'thaw':
      return 'thawed'
    case 'shadow':
      return shadowState(previous, current)
    case 'rule':
      return rulingState(current)
    case 'resolve':
      return `${describeDifference(current)} is resolved`
    case 'forget':
      return `${String(previous)} is forgotten: changes no longer wait for it`
    case 'kill':
      return 'everything goes to legacy'
    case 'revive':
      return 'pins and flags decide again'
    default:
      return verb
  }
}

function sideOf(pin: unknown): string {
  return typeof pin === 'object' && pin !== null && 'side' in pin ? String(pin.side) : 'a side'
}

function shadowState(previous: unknown, current: unknown): string {
  if (typeof current !== 'number') return 'shadowed as its config says'
  return `shadowed at ${typeof previous === 'number' && previous !== current ? `${previous} % → ` : ''}${current} %`
}

function rulingState(ruledDifference: unknown): string {
  const ruling = rulingOf(ruledDifference)
  return `${describeDifference(ruledDifference)} is ${ruling === '-' ? 'left to the statistics' : ruling}`
}

function convergenceText({ converged, convergence }: ChangeResponse, screen: Screen): string {
  const { applied, of, ms } = convergence
  if (converged) return `applied on ${applied} of ${of} gateways in ${showDuration(ms)}`
  const reach = of === 0 ? 'the gateways are unknown' : `applied on ${applied} of ${of} gateways only`
  return paint({ text: `${reach}, after ${showDuration(ms)}; not yet on:`, tone: 'bad' }, screen)
}

/** The steps that remain after an emergency change. */
function nextSteps({ verb, context }: ChangeResponse): string[] {
  if (verb === 'kill') return ['next: end it with strangler revive; pins and percentages are then as before']
  if (verb !== 'rollback') return []
  return [
    `next: run strangler status to see which side answers now`,
    `      when the service is fixed, run strangler unpin ${context}: its flag decides again`,
  ]
}
