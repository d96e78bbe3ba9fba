// The live side of the snapshot's upstreams: for each address its connections and its health. Outlives a change of
// the configuration wherever the address and its settings stay the same.
import { isIP } from 'node:net'
import type { Responder } from '../../model/outcome.ts'
import type { HealthReader } from '../../model/ports.ts'
import type { Upstream } from '../../model/route.ts'
import type { EjectionPolicy, Snapshot } from '../../model/snapshot.ts'
import type { AddressOutage, UpstreamReading } from '../../model/upstream-reading.ts'
import type { Events } from '../../telemetry/events.ts'
import { ConnectionPool } from './connection-pool.ts'
import { AddressHealth, mayEject } from './health.ts'
import { startProbe } from './probe.ts'
import { RetryBudget } from './retry-budget.ts'

/** One address of an upstream. */
export type Address = {
  readonly url: string
  /** Host and port, as a Host field says them. */
  readonly authority: string
  /** The name that is asked for in TLS and that the certificate must have; `''` where the address is its own name. */
  readonly servername: string
  /** Who answered, for outcomes: the same object for every request. */
  readonly responder: Responder
  readonly pool: ConnectionPool
  readonly health: AddressHealth
}

export type LiveUpstream = {
  readonly upstream: Upstream
  readonly addresses: readonly Address[]
  readonly retryBudget: RetryBudget
  readonly stop: () => void
}

type Dependencies = { readonly now: () => number; readonly events: Events }

export class Upstreams implements HealthReader {
  readonly #now: () => number
  readonly #events: Events
  /** By name and settings: what a new snapshot has in common with the last one is kept. */
  #byKey = new Map<string, LiveUpstream>()
  /** By the snapshot's own object: one lookup on a request's path. Weak, so an old snapshot's entries go with it. */
  readonly #byUpstream = new WeakMap<Upstream, LiveUpstream>()
  #ejection: EjectionPolicy = { consecutiveFailures: 5, baseMs: 30_000, maxMs: 300_000, maxPercent: 50 }
  #turn = 0
  #copyTurn = 0

  constructor({ now, events }: Dependencies) {
    this.#now = now
    this.#events = events
  }

  /** Makes the snapshot's upstreams live, and retires those it no longer has. */
  apply(snapshot: Snapshot): void {
    this.#ejection = snapshot.ejection
    const previous = this.#byKey
    this.#byKey = new Map()
    for (const upstream of [snapshot.legacy, ...snapshot.services.values()]) {
      const key = JSON.stringify(upstream)
      const live = previous.get(key) ?? this.#start(upstream)
      previous.delete(key)
      this.#byKey.set(key, live)
      this.#byUpstream.set(upstream, live)
    }
    for (const retired of previous.values()) retired.stop()
  }

  close(): void {
    for (const live of this.#byKey.values()) live.stop()
    this.#byKey.clear()
  }

  get(upstream: Upstream): LiveUpstream {
    const live = this.#byUpstream.get(upstream)
    if (live === undefined) throw new Error(`upstream "${upstream.name}" was never applied`)
    return live
  }

  isAvailable(upstream: Upstream): boolean {
    const { addresses } = this.get(upstream)
    const now = this.#now()
    for (const address of addresses) if (address.health.isAvailable(now)) return true
    return false
  }

  /**
   * The address for the next request: of those available the one with the fewest requests, in turns where equal. With
   * none available legacy is asked all the same (a chance is better than none); a service answers undefined.
   *
   * @param except has just failed: another is wanted
   */
  selectAddress(live: LiveUpstream, except?: Address): Address | undefined {
    const { addresses } = live
    if (addresses.length === 1 && except === undefined) {
      const only = addresses[0] as Address
      return live.upstream.side === 'legacy' || only.health.isAvailable(this.#now()) ? only : undefined
    }
    return this.#select(live, this.#turn++, except)
  }

  /** As `pick`, in turns of their own: one copy for each request, and clients would all be given the same address. */
  selectAddressForCopy(live: LiveUpstream): Address | undefined {
    return this.#select(live, this.#copyTurn++)
  }

  #select({ addresses, upstream }: LiveUpstream, turn: number, except?: Address): Address | undefined {
    const now = this.#now()
    let best: Address | undefined
    let bestLoad = Number.POSITIVE_INFINITY
    for (let i = 0; i < addresses.length; i++) {
      const address = addresses[(turn + i) % addresses.length] as Address
      if (address === except || !address.health.isAvailable(now)) continue
      const load = address.pool.inUse + address.pool.waiting
      if (load < bestLoad) {
        best = address
        bestLoad = load
      }
    }
    if (best !== undefined || upstream.side === 'service') return best
    const fallback = addresses[turn % addresses.length]
    return fallback === except ? addresses[(turn + 1) % addresses.length] : fallback
  }

  recordSuccess(address: Address): void {
    address.health.recordSuccess()
  }

  recordFailure(live: LiveUpstream, address: Address, gotNoResponse: boolean, why: string): void {
    const { addresses, upstream } = live
    const ejectedCount = addresses.filter((other) => other !== address && !other.health.isAvailable(this.#now())).length
    const isEjectable = mayEject(upstream.side, addresses.length, ejectedCount, this.#ejection)
    const forMs = address.health.recordFailure(
      gotNoResponse,
      addresses.length === 1,
      isEjectable,
      this.#ejection,
      this.#now(),
      why,
    )
    if (forMs > 0) this.#events.addressEjected({ upstream: upstream.name, address: address.url, why, forMs })
  }

  /** For /readyz: how many addresses of each upstream may be asked now. */
  summary(): { name: string; available: number; addresses: number }[] {
    const now = this.#now()
    return [...this.#byKey.values()].map(({ upstream, addresses }) => ({
      name: upstream.name,
      available: addresses.filter(({ health }) => health.isAvailable(now)).length,
      addresses: addresses.length,
    }))
  }

  /** For the status: which addresses are unavailable, and why. */
  outages(): UpstreamReading[] {
    const now = this.#now()
    return [...this.#byKey.values()].map(({ upstream: { name, side }, addresses }) => ({
      name,
      side,
      addresses: addresses.length,
      unavailable: addresses.flatMap(({ url, health }): AddressOutage[] => {
        const outage = health.outage(now)
        return outage === undefined ? [] : [{ address: url, ...outage }]
      }),
    }))
  }

  /** For the metrics: one row an address. */
  readings(): {
    upstream: string
    address: string
    open: number
    inUse: number
    waiting: number
    available: boolean
  }[] {
    const now = this.#now()
    return [...this.#byKey.values()].flatMap(({ upstream, addresses }) =>
      addresses.map(({ url, pool: connections, health }) => ({
        upstream: upstream.name,
        address: url,
        open: connections.open,
        inUse: connections.inUse,
        waiting: connections.waiting,
        available: health.isAvailable(now),
      })),
    )
  }

  #start(upstream: Upstream): LiveUpstream {
    const addresses = upstream.urls.map((url) => ({
      url,
      authority: new URL(url).host,
      servername: servernameOf(url, upstream),
      responder: { side: upstream.side, upstream: upstream.name, address: url },
      pool: new ConnectionPool(url, servernameOf(url, upstream), upstream, this.#now),
      health: new AddressHealth(),
    }))
    const probes = addresses.map((address) => {
      const reportReturn = () => this.#events.addressReturned({ upstream: upstream.name, address: address.url })
      return startProbe(
        upstream,
        address.url,
        (isHealthy, why) => {
          address.health.recordVerdict(isHealthy, why, this.#now())
          if (isHealthy) reportReturn()
          else this.#events.addressEjected({ upstream: upstream.name, address: address.url, why, forMs: 0 })
        },
        () => {
          if (address.health.recordPassedCheck(this.#now())) reportReturn()
        },
      )
    })
    return {
      upstream,
      addresses,
      retryBudget: new RetryBudget(this.#now()),
      stop: () => {
        for (const probe of probes) probe.stop()
        for (const { pool } of addresses) pool.retire()
      },
    }
  }
}

/**
 * The upstream's own name. Left to itself Node takes the Host field for it, which a client chooses and
 * which `host: 'preserve'` passes on. An IP address is no name (RFC 6066 section 3): the certificate must hold it.
 */
export function servernameOf(url: string, upstream: Upstream): string {
  const { hostname } = new URL(url)
  return upstream.tls?.servername ?? (isIP(hostname.replace(/^\[|\]$/g, '')) === 0 ? hostname : '')
}
