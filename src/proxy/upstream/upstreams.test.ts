import { describe, expect, it, onTestFinished } from 'vitest'
import { compile } from '../../config/load/compile.ts'
import { validate } from '../../config/schema/validate.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { quietEvents } from '../../telemetry/quiet-events.ts'
import type { Connection } from './connection.ts'
import { type Address, Upstreams } from './upstreams.ts'

const EJECTION = { consecutiveFailures: 1, baseMs: 1000, maxMs: 1000, maxPercent: 50 }

function snapshotOf(config: object): Snapshot {
  const validated = validate({ ejection: EJECTION, ...config })
  if (!validated.ok) throw new Error(JSON.stringify(validated.mistakes))
  return compile(validated.config)
}

const urls = (count: number, from = 1) => Array.from({ length: count }, (_, i) => `http://127.0.0.1:${from + i}`)

function startUpstreams(config: object) {
  let nowMs = 0
  const ejected: string[] = []
  const events = { ...quietEvents, addressEjected: ({ address }: { address: string }) => void ejected.push(address) }
  const upstreams = new Upstreams({ now: () => nowMs, events })
  onTestFinished(() => upstreams.close())
  const snapshot = snapshotOf(config)
  upstreams.apply(snapshot)
  const pass = (ms: number) => {
    nowMs += ms
  }
  return { upstreams, snapshot, ejected, pass }
}

function portOf(address: Address | undefined): number | undefined {
  return address && Number(new URL(address.url).port)
}

describe('selectAddress', () => {
  it('selects the addresses in turn while all have the same number of requests', () => {
    const { upstreams, snapshot } = startUpstreams({ legacy: { urls: urls(3) } })
    const live = upstreams.get(snapshot.legacy)
    const picked = Array.from({ length: 6 }, () => portOf(upstreams.selectAddress(live)))
    expect(picked).toEqual([1, 2, 3, 1, 2, 3])
  })

  it('selects the addresses in turn for requests and, independently, for copies', () => {
    const { upstreams, snapshot } = startUpstreams({ legacy: { urls: urls(2) } })
    const live = upstreams.get(snapshot.legacy)
    const picked = Array.from({ length: 4 }, () =>
      [upstreams.selectAddress(live), upstreams.selectAddressForCopy(live)].map(portOf),
    )
    expect(picked.map(([client]) => client)).toEqual([1, 2, 1, 2])
    expect(picked.map(([, copy]) => copy)).toEqual([1, 2, 1, 2])
  })

  it('selects the address with the fewest requests', () => {
    const { upstreams, snapshot } = startUpstreams({ legacy: { urls: urls(3) } })
    const live = upstreams.get(snapshot.legacy)
    const waiter = { isWaiting: false, onConnection: () => {} }
    for (const index of [0, 0, 1]) live.addresses[index]?.pool.take(waiter)
    for (let i = 0; i < 4; i++) expect(portOf(upstreams.selectAddress(live))).toBe(3)
  })

  it('never selects an ejected address, and selects it again after its return', () => {
    const { upstreams, snapshot, ejected, pass } = startUpstreams({ legacy: { urls: urls(3) } })
    const live = upstreams.get(snapshot.legacy)
    upstreams.recordFailure(live, live.addresses[1] as Address, true, 'connection-lost')
    expect(ejected).toEqual(['http://127.0.0.1:2'])
    const picked = () => new Set(Array.from({ length: 12 }, () => portOf(upstreams.selectAddress(live))))
    expect(picked()).toEqual(new Set([1, 3]))
    pass(1000)
    expect(picked()).toEqual(new Set([1, 2, 3]))
  })

  it('selects another address than the excepted one, even if the others are ejected', () => {
    const { upstreams, snapshot } = startUpstreams({ legacy: { urls: urls(2) } })
    const live = upstreams.get(snapshot.legacy)
    const [first, second] = live.addresses as [Address, Address]
    upstreams.recordFailure(live, second, true, 'connection-lost')
    for (let i = 0; i < 4; i++) expect(portOf(upstreams.selectAddress(live, first))).toBe(2)
  })

  it('selects no address of a service whose addresses are all ejected, and one of legacy all the same', () => {
    const { upstreams, snapshot } = startUpstreams({
      legacy: { url: urls(1)[0] },
      services: { s: { url: urls(1, 9)[0] } },
    })
    const [legacy, service] = [upstreams.get(snapshot.legacy), upstreams.get(snapshot.services.get('s')!)]
    for (const live of [legacy, service])
      upstreams.recordFailure(live, live.addresses[0] as Address, true, 'connection-lost')
    expect(portOf(upstreams.selectAddress(legacy))).toBe(1)
    expect(upstreams.selectAddress(service)).toBeUndefined()
    expect(upstreams.isAvailable(service.upstream)).toBe(false)
    expect(upstreams.summary()).toEqual([
      { name: 'legacy', available: 1, addresses: 1 },
      { name: 's', available: 0, addresses: 1 },
    ])
  })
})

describe('a new snapshot', () => {
  it('keeps health and connections of unchanged upstreams and retires removed ones', () => {
    const services = { kept: { urls: urls(2, 10) }, changed: { url: urls(1, 20)[0] } }
    const { upstreams, snapshot } = startUpstreams({ legacy: { url: urls(1)[0] }, services })
    const unchanged = upstreams.get(snapshot.services.get('kept')!)
    const changed = upstreams.get(snapshot.services.get('changed')!)
    upstreams.recordFailure(unchanged, unchanged.addresses[0] as Address, true, 'connection-lost')
    const client = changed.addresses[0]?.pool.take({ isWaiting: false, onConnection: () => {} })
    const next = snapshotOf({
      legacy: { url: urls(1)[0] },
      services: { ...services, changed: { url: urls(1, 20)[0], queue: 1 } },
    })
    upstreams.apply(next)
    expect(upstreams.get(next.services.get('kept')!)).toBe(unchanged)
    expect(upstreams.summary()[1]).toEqual({ name: 'kept', available: 1, addresses: 2 })
    expect(upstreams.get(next.services.get('changed')!)).not.toBe(changed)
    // A request that began with the old snapshot still finds its upstream.
    expect(upstreams.get(snapshot.services.get('changed')!)).toBe(changed)
    changed.addresses[0]?.pool.release(client as never)
    expect((client as Connection).isDone).toBe(true)
  })

  it('that was not applied has no upstreams: the lookup throws', () => {
    const { upstreams } = startUpstreams({ legacy: { url: urls(1)[0] } })
    expect(() => upstreams.get(snapshotOf({ legacy: { url: urls(1)[0] } }).legacy)).toThrow(
      /not part of an applied snapshot/,
    )
  })
})
