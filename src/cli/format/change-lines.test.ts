import { expect, test } from 'vitest'
import type { ChangeResponse } from '../../admin/contract/change-requests.ts'
import { changeLines } from './change-lines.ts'

const PRICE = { fingerprint: 'f1', route: 'GET /products', field: 'value $.price' }

function linesOf(more: Partial<ChangeResponse>): string {
  const convergence = { applied: 1, of: 1, ms: 3, laggards: [], inFlight: 0 }
  const done: ChangeResponse = {
    verb: 'rule',
    context: 'catalog',
    before: null,
    after: null,
    generation: 8,
    until: null,
    note: null,
    converged: true,
    convergence,
    ...more,
  }
  return changeLines(done, 0, { hasColor: false, width: undefined })
}

test.each<[Partial<ChangeResponse>, string]>([
  [{ after: { ...PRICE, ruling: 'noise' } }, 'value $.price of GET /products is noise'],
  [{ after: { ...PRICE, ruling: 'real' } }, 'value $.price of GET /products is real'],
  [{ after: { ...PRICE, ruling: null } }, 'value $.price of GET /products is left to the statistics'],
  [{ verb: 'resolve', after: { ...PRICE, resolvedAt: 5 } }, 'value $.price of GET /products is resolved'],
  [{ verb: 'resolve', after: null }, 'a difference is resolved'],
])('the output of a ruling or resolution names the difference: %o', (done, sentence) => {
  expect(linesOf(done)).toBe(`catalog: ${sentence}, applied on 1 of 1 gateways in 3 ms`)
})

test.each<[ChangeResponse['verb'], string | null, ChangeResponse['convergence']['serviceWrites'], string]>([
  [
    'rollback',
    'catalog',
    { count: 12, isLowerBound: false },
    'the service has answered 12 writes since the context was last at 0 %',
  ],
  [
    'flip',
    'catalog',
    { count: 1, isLowerBound: true },
    'the service has answered at least 1 write since the context was last at 0 %',
  ],
  [
    'kill',
    null,
    { count: 12, isLowerBound: false },
    'the services have answered 12 writes since each context was last at 0 %',
  ],
])('%s reports the writes that legacy may lack', (verb, context, serviceWrites, sentence) => {
  const convergence = { applied: 1, of: 1, ms: 3, laggards: [], inFlight: 0, ...(serviceWrites && { serviceWrites }) }
  expect(linesOf({ verb, context, convergence }).split('\n')[1]).toBe(`  ${sentence}`)
})
