// The gateways of the fleet: their heartbeats in Redis, and the ones that this gateway knows if Redis has lost them.
import type { FleetMember, Heartbeat } from '../../model/fleet.ts'
import { Listeners } from '../listeners.ts'
import { parseHeartbeat } from '../state-schema.ts'
import type { StoreEvents } from '../store-events.ts'
import type { ErrorReporter } from './error-reporter.ts'
import type { LocalReplica } from './local-replica.ts'
import type { RedisClient } from './redis-client.ts'
import type { RedisClock } from './redis-clock.ts'
import { asArray, asStrings } from './replies.ts'
import { BEAT, LEAVE, MEMBERS } from './scripts.ts'

type RedisFleetOptions = {
  readonly client: RedisClient
  readonly replica: LocalReplica
  readonly redisClock: RedisClock
  readonly errors: ErrorReporter
  readonly events: StoreEvents
  /** A gateway that has sent no heartbeat for this long is removed, in milliseconds. */
  readonly forgetAfterMs: number
}

/** Gateways send a heartbeat every second. Without one for this long a gateway has stopped, or is disconnected. */
const SILENT_MS = 3000

export class RedisFleet {
  readonly #options: RedisFleetOptions
  readonly #listeners: Listeners<Heartbeat>

  constructor(options: RedisFleetOptions) {
    this.#options = options
    this.#listeners = new Listeners(options.events.failed)
  }

  onHeartbeat(listener: (report: Heartbeat) => void): () => void {
    return this.#listeners.add(listener)
  }

  async sendHeartbeat(report: Heartbeat): Promise<void> {
    const text = JSON.stringify(report)
    await this.#options.client.run(BEAT, [parseHeartbeat(text).id, text])
  }

  async remove(id: string): Promise<void> {
    await this.#options.client.run(LEAVE, [id])
  }

  receiveHeartbeat(report: Heartbeat): void {
    this.#options.replica.setMember(report, this.#options.redisClock.wallTime())
    this.#listeners.notify(report)
  }

  receiveRemoval(id: string): void {
    this.#options.replica.removeMember(id)
  }

  /** The members in Redis, and the known members that have sent no heartbeat since Redis lost them. */
  async list(): Promise<FleetMember[]> {
    const { replica, redisClock, forgetAfterMs } = this.#options
    const { members, removedIds } = await this.#readMembers()
    for (const id of removedIds) replica.removeMember(id)
    const now = redisClock.wallTime()
    for (const { silentMs, ...report } of members) replica.setMember(report, now - silentMs)
    const ids = new Set(members.map(({ id }) => id))
    for (const [id, { report, at: receivedAt }] of replica.members) {
      const silentMs = Math.max(0, Math.round(now - receivedAt))
      if (silentMs > forgetAfterMs) replica.removeMember(id)
      else if (!ids.has(id)) members.push({ ...report, silentMs })
    }
    return members
  }

  /**
   * Whether a gateway of this name has run before and has stopped. A name that an operator gave is compared as it is.
   * Otherwise the id ends with random digits, which are new with a new folder, so that the host names are compared; a
   * gateway with the same host name and recent heartbeats is another process on the same host.
   */
  async hasPredecessor(gateway: string, isNamed: boolean): Promise<boolean> {
    const { members, removedIds } = await this.#readMembers()
    const stopped = members.filter(({ silentMs }) => isNamed || silentMs > SILENT_MS)
    const nameOf = (id: string) => (isNamed ? id : id.replace(/-[0-9a-f]{8}$/, ''))
    const ids = [...stopped.map(({ id }) => id), ...removedIds]
    return ids.some((id) => nameOf(id) === nameOf(gateway))
  }

  async #readMembers(): Promise<{ members: FleetMember[]; removedIds: readonly string[] }> {
    const { client, forgetAfterMs } = this.#options
    const [reports, removedIds] = asArray(await client.run(MEMBERS, [String(forgetAfterMs)]))
    return { members: this.#parseMembers(asStrings(reports)), removedIds: asStrings(removedIds) }
  }

  /** @param reply milliseconds of silence and heartbeat, in turn */
  #parseMembers(reply: readonly string[]): FleetMember[] {
    const members: FleetMember[] = []
    for (let index = 0; index + 1 < reply.length; index += 2) {
      try {
        members.push({ ...parseHeartbeat(reply[index + 1] as string), silentMs: Number(reply[index]) })
      } catch (error) {
        this.#options.errors.report(new Error('a heartbeat in Redis cannot be read', { cause: error }))
      }
    }
    return members
  }
}
