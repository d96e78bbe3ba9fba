// Computes the reports that a change waits for. Pure.
import type { Side } from '../../model/route.ts'
import type { Expected } from '../fleet/member-lag.ts'
import type { Change } from './change.ts'

/** @param generation of the state that the change has made */
export function expectedAfter(change: Change, generation: number): Expected {
  const flip = change.verb === 'flip' ? { context: change.context, percentage: change.percentage } : undefined
  return { generation, flip, abandoned: abandonedBy(change), writesOf: writesToReport(change) }
}

/** The side that receives no new requests after the change. */
function abandonedBy(change: Change): Expected['abandoned'] {
  if (change.verb === 'kill') return { context: null, side: 'service' }
  const side = abandonedSide(change)
  return side === undefined || !('context' in change) ? undefined : { context: change.context, side }
}

function abandonedSide(change: Change): Side | undefined {
  if (change.verb === 'rollback') return 'service'
  if (change.verb === 'pin') return change.side === 'legacy' ? 'service' : 'legacy'
  if (change.verb !== 'flip') return undefined
  return change.percentage === 0 ? 'service' : change.percentage === 100 ? 'legacy' : undefined
}

/** The context, or null for all, whose writes to the service legacy may lack after the change. */
function writesToReport(change: Change): string | null | undefined {
  if (change.verb === 'kill') return null
  return change.verb === 'flip' || change.verb === 'rollback' ? change.context : undefined
}
