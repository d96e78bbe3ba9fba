// The kill switch of the fleet. While the store is unreachable it works on this gateway alone, through its kill file.
import { join } from 'node:path'
import type { Clock } from '../model/ports.ts'
import type { StateStore } from '../model/state-store.ts'
import { joinNotes } from './commands/change.ts'
import type { ChangeRequest, ChangeResult } from './control.ts'
import { EVERYTHING } from './controls.ts'
import type { ChangeExecutor } from './execute-change.ts'
import { isSilent } from './fleet/member-lag.ts'
import type { TrafficCounts } from './fleet/own-heartbeat.ts'
import type { StateApplier } from './fleet/state-applier.ts'
import type { LocalKill } from './local-kill.ts'

type KillSwitchOptions = {
  readonly store: StateStore
  readonly clock: Clock
  readonly executor: ChangeExecutor
  readonly applier: StateApplier
  readonly localKill: LocalKill
  readonly traffic: Pick<TrafficCounts, 'inFlight'>
  readonly stateDir: string
  /** The id of this gateway. */
  readonly gateway: string
}

const REVIVED_HERE = 'the kill file of this gateway was removed'

export class KillSwitch {
  readonly #options: KillSwitchOptions

  constructor(options: KillSwitchOptions) {
    this.#options = options
  }

  async kill(request: ChangeRequest): Promise<ChangeResult> {
    const { clock, executor } = this.#options
    const startedAt = clock.now()
    const result = await executor.execute({ verb: 'kill' }, undefined, request)
    return result.kind === 'unavailable' ? this.#killHere(request, result.why, startedAt) : result
  }

  async revive(request: ChangeRequest): Promise<ChangeResult> {
    const { executor, localKill } = this.#options
    const change = { verb: 'revive' } as const
    const wasKilledHere = localKill.names.length > 0
    const failure = await localKill.revive(request.by, request.reason)
    if (failure !== undefined) return executor.refuse(change, request, failure)
    const result = await executor.execute(change, undefined, request)
    if (result.kind === 'done') {
      const note = joinNotes(result.note, wasKilledHere ? REVIVED_HERE : null, await this.#stillKilled())
      return { ...result, note }
    }
    if (!wasKilledHere || !('why' in result)) return result
    return { ...result, why: `${REVIVED_HERE}; for the rest: ${result.why}` }
  }

  /** The other gateways cannot be reached: it is better to kill one gateway than none. */
  #killHere(request: ChangeRequest, reason: string, startedAt: number): ChangeResult {
    const { store, clock, applier, localKill, traffic, stateDir, gateway } = this.#options
    const wasKilled = store.current().kill !== null || localKill.names.includes(EVERYTHING)
    localKill.kill(request.by)
    const file = join(stateDir, 'kill.all')
    const why = `not killed while the store is unreachable: create ${file} there, or send SIGUSR2`
    const laggards = [{ id: 'all others', address: 'unknown', why }]
    const inFlight = Object.values(traffic.inFlight()).reduce((sum, { service }) => sum + service, 0)
    const note =
      `everything goes to legacy on this gateway (${gateway}) only. The other gateways are unchanged, because ${reason}. ` +
      `Ask each of them with "strangler kill --url", create ${file} there, or send it SIGUSR2`
    return {
      kind: 'done',
      verb: 'kill',
      context: null,
      before: wasKilled,
      after: true,
      generation: applier.generation,
      until: null,
      convergence: { applied: 1, of: 1, ms: Math.round(clock.now() - startedAt), laggards, inFlight },
      note,
    }
  }

  /** A kill file can only be removed on its own gateway. */
  async #stillKilled(): Promise<string | null> {
    const { store, gateway } = this.#options
    const members = await store.fleet().catch(() => [])
    const others = members.filter((member) => member.id !== gateway && member.localKill.length > 0 && !isSilent(member))
    if (others.length === 0) return null
    const names = others.map(({ id, address }) => `${id} (${address})`).join(', ')
    return `still killed by a kill file of their own: ${names}; remove the file there, or send revive to these gateways`
  }
}
