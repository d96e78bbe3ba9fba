// The fleet of a store that one gateway uses: its own heartbeats.
import type { FleetMember, Heartbeat } from '../../model/fleet.ts'
import type { Clock } from '../../model/ports.ts'
import { MEMBER_EXPIRY_MS } from '../limits.ts'
import { Listeners } from '../listeners.ts'
import { parseHeartbeat } from '../state-schema.ts'

export class LocalFleet {
  readonly #clock: Clock
  readonly #listeners: Listeners<Heartbeat>
  readonly #members = new Map<string, { readonly report: Heartbeat; readonly receivedAt: number }>()

  constructor(clock: Clock, reportError: (error: Error) => void) {
    this.#clock = clock
    this.#listeners = new Listeners(reportError)
  }

  onHeartbeat(listener: (report: Heartbeat) => void): () => void {
    return this.#listeners.add(listener)
  }

  receive(heartbeat: Heartbeat): void {
    const report = parseHeartbeat(JSON.stringify(heartbeat))
    this.#members.set(report.id, { report, receivedAt: this.#clock.now() })
    this.#listeners.notify(report)
  }

  remove(id: string): void {
    this.#members.delete(id)
  }

  list(): FleetMember[] {
    const now = this.#clock.now()
    for (const [id, { receivedAt }] of this.#members) if (now - receivedAt > MEMBER_EXPIRY_MS) this.#members.delete(id)
    return [...this.#members.values()].map(({ report, receivedAt }) => ({
      ...report,
      silentMs: Math.round(now - receivedAt),
    }))
  }
}
