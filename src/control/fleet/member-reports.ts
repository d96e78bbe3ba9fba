// The latest report of each gateway while a change waits for the fleet.
import type { FleetMember } from '../../model/fleet.ts'
import type { StateStore } from '../../model/state-store.ts'

/** How often the store is read, in milliseconds: finds lost reports, and gateways that have left or are silent. */
const READ_EVERY_MS = 1000

export class MemberReports {
  readonly #store: StateStore
  readonly #unsubscribe: () => void
  #members = new Map<string, FleetMember>()
  #onReport = () => {}

  constructor(store: StateStore) {
    this.#store = store
    this.#unsubscribe = store.onHeartbeat((report) => {
      this.#members.set(report.id, { ...report, silentMs: 0 })
      this.#onReport()
    })
  }

  get members(): readonly FleetMember[] {
    return [...this.#members.values()]
  }

  /** @throws {StoreUnavailable} */
  async read(): Promise<void> {
    const members = await this.#store.fleet()
    this.#members = new Map(members.map((member) => [member.id, newer(member, this.#members.get(member.id))]))
    this.#onReport()
  }

  /** Resolves once the condition holds, or after `limitMs` milliseconds. */
  async waitUntil(isMet: () => boolean, limitMs: number): Promise<void> {
    if (isMet()) return
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => void this.read().catch(() => {}), READ_EVERY_MS)
      const end = () => {
        clearInterval(timer)
        clearTimeout(limit)
        resolve()
      }
      const limit = setTimeout(end, limitMs)
      this.#onReport = () => {
        if (isMet()) end()
      }
    })
  }

  close(): void {
    this.#unsubscribe()
  }
}

/** A report that arrived while the store was read may be newer than the answer of the store. */
function newer(read: FleetMember, reported: FleetMember | undefined): FleetMember {
  return reported !== undefined && reported.applied > read.applied ? reported : read
}
