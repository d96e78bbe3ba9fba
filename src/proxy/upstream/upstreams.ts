// The state of the snapshot's upstreams: for each address its connection pool and its health. It survives a change of the
// configuration if the upstream and its settings stay the same.
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
  /** Host and port as in a Host field. */
  readonly authority: string
  /** The TLS server name, which the certificate must contain; `''` for an IP address. */
  readonly servername: string
  /** For outcomes: the same object for every request. */
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
  /** By name and settings: an upstream that a new snapshot leaves unchanged keeps its state. */
  #byKey = new Map<string, LiveUpstream>()
  /** By the object in the snapshot: one lookup for each request. Weak, so the entries of an old snapshot are collected. */
  readonly #byUpstream = new WeakMap<Upstream, LiveUpstream>()
  #ejection: EjectionPolicy = { consecutiveFailures: 5, baseMs: 30_000, maxMs: 300_000, maxPercent: 50 }
  #turn = 0
  #copyTurn = 0

  constructor({ now, events }: Dependencies) {
    this.#now = now
    this.#events = events
  }

  /** Starts the new upstreams of a snapshot and retires those that it does not contain. */
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
    if (live === undefined) throw new Error(`upstream "${upstream.name}" is not part of an applied snapshot`)
    return live
  }

  isAvailable(upstream: Upstream): boolean {
    const { addresses } = this.get(upstream)
    const now = this.#now()
    for (const address of addresses) if (address.health.isAvailable(now)) return true
    return false
  }

  /**
   * Selects the available address with the fewest requests, in turns where equal. Without an available address, legacy
   * gets an unavailable one, since it may still answer; a service gets undefined.
   *
   * @param except an address that has just failed; another is selected
   */
  selectAddress(live: LiveUpstream, except?: Address): Address | undefined {
    const { addresses } = live
    if (addresses.length === 1 && except === undefined) {
      const only = addresses[0] as Address
      return live.upstream.side === 'legacy' || only.health.isAvailable(this.#now()) ? only : undefined
    }
    return this.#select(live, this.#turn++, except)
  }

  /** As `selectAddress`, with turns of its own: otherwise each request and its copy would take turns together. */
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

  /** For /readyz: how many addresses of each upstream are available. */
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

  /** For the metrics: one row for each address. */
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
 * The TLS server name of an address. Node's default is the Host field, which a client chooses and which
 * `host: 'preserve'` passes on. An IP address is not a server name (RFC 6066 section 3): the certificate must contain it.
 */
export function servernameOf(url: string, upstream: Upstream): string {
  const { hostname } = new URL(url)
  return upstream.tls?.servername ?? (isIP(hostname.replace(/^\[|\]$/g, '')) === 0 ? hostname : '')
}
