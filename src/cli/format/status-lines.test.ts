// The text of `status`, without a process for each case.
import { describe, expect, it } from 'vitest'
import type { ContextResponse, UpstreamView } from '../../admin/contract/contexts.ts'
import type { MemberResponse } from '../../admin/contract/fleet-response.ts'
import type { StatusResponse } from '../../admin/contract/status.ts'
import { EMPTY_STATUS } from '../client/admin-api.test-kit.ts'
import { statusLines } from './status-lines.ts'

const AT = new Date(2026, 2, 1, 14, 2, 3).getTime()
const PLAIN = { hasColor: false, width: undefined }

const CATALOG: ContextResponse = {
  name: 'catalog',
  owner: 'team-catalog',
  flag: 'migrate-catalog',
  service: 'catalog',
  percentage: 100,
  why: null,
  serving: 'service',
  pin: null,
  freeze: null,
  flip: null,
  shadow: null,
  generation: 7,
  rollback: 'allowed',
  lastMinute: { legacy: 75, service: 25 },
}

const OUTAGE = { address: 'http://10.0.0.1:3000', why: 'connect-refused', since: AT - 10_000, until: AT + 30_000 }

const GATEWAY: MemberResponse = {
  id: 'gw-1',
  version: '0.2.0',
  address: 'http://10.0.0.7:8081',
  startedAt: AT,
  applied: 7,
  percentages: {},
  flags: { source: 'file', stale: false, ageMs: 300 },
  localKill: [],
  inFlight: {},
  lastMinute: {},
  silentMs: 200,
  isConverged: true,
}

function print(context: Partial<ContextResponse>, status: Partial<StatusResponse> = {}): string {
  return statusLines({ ...EMPTY_STATUS, ...status, contexts: [{ ...CATALOG, ...context }] }, 'http://gw', AT, PLAIN)
}

describe('status', () => {
  it('shows under its context an ejected address, why, and until when', () => {
    const upstream: UpstreamView = { addresses: 2, available: 1, unavailable: [OUTAGE] }
    const text = print({ upstream, fallback: 'reads' })
    expect(text).toContain(
      '\ncatalog: http://10.0.0.1:3000 is unavailable since 14:01 (connect-refused), until 14:02 (in 30 s)',
    )
    expect(text).not.toContain('UNAVAILABLE')
  })

  it('shows that an address returns when its health check passes', () => {
    const upstream = {
      addresses: 2,
      available: 1,
      unavailable: [{ ...OUTAGE, why: 'health check answered 500', until: null }],
    }
    expect(print({ upstream })).toContain('(health check answered 500), until its health check passes')
  })

  it.each([
    ['reads', 'legacy answers reads, and writes get 503'],
    ['all', 'legacy answers reads and writes'],
    [false, 'its requests get 503'],
  ] as const)('shows that no address of a service is available, and the effect of fallback %s', (fallback, effect) => {
    const text = print({ fallback, upstream: { addresses: 1, available: 0, unavailable: [OUTAGE] } })
    expect(text).toMatch(/^catalog .* service: UNAVAILABLE /m)
    expect(text).toContain(`\ncatalog: no address of its service is available: ${effect}\n`)
  })

  it('shows no unavailable service in the column of a context that legacy serves', () => {
    const upstream = { addresses: 1, available: 0, unavailable: [OUTAGE] }
    expect(print({ serving: 'legacy', upstream })).not.toContain('UNAVAILABLE')
  })

  it('shows that a percentage counts only matching people, with the share of the last minute', () => {
    expect(print({ isForMatching: true })).toMatch(
      /^catalog +team-catalog +100 % of matching people \(25 % of the last minute\) {2}/m,
    )
    const quiet = print({ isForMatching: true, percentage: null, lastMinute: { legacy: 0, service: 0 } })
    expect(quiet).toMatch(/^catalog +team-catalog +\? of matching people {2}/m)
    expect(print({})).toMatch(/^catalog +team-catalog +100 % {2}/m)
  })

  it('shows the kill files of other gateways that report, by gateway', () => {
    const members = [
      { ...GATEWAY, id: 'gw-1', localKill: ['catalog'] },
      { ...GATEWAY, id: 'gw-2', localKill: ['*'] },
      { ...GATEWAY, id: 'gw-3', localKill: ['*'], silentMs: 60_000 },
      { ...GATEWAY, id: 'gw-4' },
    ]
    const text = print({}, { gateway: 'gw-1', localKill: ['catalog'], fleet: { generation: 7, members } })
    expect(text.match(/^kill file .*$/gm)).toEqual([
      'kill file  sends catalog to legacy on this gateway; remove it there',
      'kill file  sends everything to legacy on gw-2 (http://10.0.0.7:8081); remove it there',
    ])
  })

  it('shows the unavailable addresses of legacy above', () => {
    const legacy = { addresses: 2, available: 1, unavailable: [OUTAGE] }
    expect(print({}, { legacy })).toMatch(/^legacy +http:\/\/10\.0\.0\.1:3000 is unavailable since 14:01/m)
  })
})
