// The flag authority of a gateway with Unleash: flags are read from its client API and written through its Admin API.

import type { FleetMember } from '../../../model/fleet.ts'
import type { FlagPercentage, FlagWriter } from '../../../model/ports.ts'
import type { Context } from '../../../model/route.ts'
import type { SharedState } from '../../../model/shared-state.ts'
import type { ChangeRequest } from '../../control.ts'
import { type ExpectedPercentages, expectedPercentages } from '../../fleet/expected-percentages.ts'
import type { ContextFlag, FlagAuthority, FlagWrite, PercentageBefore } from '../flag-authority.ts'
import type { Flags } from '../flags.ts'
import { FlipReader } from './flip-reader.ts'
import { OutsideChanges } from './outside-changes.ts'
import { RollbackZero, type RollbackZeroOptions } from './rollback-zero.ts'
import { unleashContextFlag } from './unleash-context-flag.ts'

type UnleashAuthorityOptions = RollbackZeroOptions & {
  readonly contexts: () => ReadonlyMap<string, Context>
}

const NO_WRITER: FlagWrite = {
  kind: 'refused',
  why: 'this gateway may not write to Unleash: give it UNLEASH_ADMIN_TOKEN, or change the percentage in Unleash’s own pages',
}

export class UnleashAuthority implements FlagAuthority {
  readonly flags: Flags
  readonly #options: UnleashAuthorityOptions
  readonly #writer: FlagWriter | undefined
  readonly #zero: RollbackZero
  readonly #outside: OutsideChanges
  readonly #flipReader: FlipReader

  constructor(options: UnleashAuthorityOptions) {
    const { flags, clock, writer } = options
    this.flags = flags
    this.#options = options
    this.#writer = writer
    this.#zero = new RollbackZero(options)
    this.#outside = new OutsideChanges({ ...options, zero: this.#zero })
    this.#flipReader = new FlipReader({ clock, flags })
  }

  async start(): Promise<void> {
    await this.flags.start()
    this.#outside.start()
  }

  async stop(): Promise<void> {
    this.#outside.stop()
    this.#flipReader.stop()
    await this.flags.stop()
  }

  retry(): void {}

  percentageIn(_state: SharedState, flag: string): FlagPercentage {
    return this.flags.percentage(flag)
  }

  expectedPercentages(state: SharedState, members: readonly FleetMember[]): ExpectedPercentages {
    return expectedPercentages(state, members, this.#options.store.wallTime())
  }

  /** Without `percentageBefore`, the percentage that this gateway has read: the one in Unleash may be newer. */
  contextFlag(_state: SharedState, { flag }: Context, percentageBefore?: PercentageBefore): ContextFlag {
    const { percentage } = percentageBefore ?? this.flags.percentage(flag)
    return unleashContextFlag(flag, percentage)
  }

  /** The flag precedes the record: only a percentage that Unleash has accepted is put on record. */
  async writePercentage({ name, flag }: Context, percentage: number, request: ChangeRequest): Promise<FlagWrite> {
    if (this.#writer === undefined) return NO_WRITER
    const { by, reason } = request
    const result = await this.#writer.setPercentage(flag, percentage, { context: name, by, reason })
    if (result.kind !== 'written') return { kind: result.kind, why: result.reason }
    if (result.after !== percentage) return { kind: 'conflict', why: overwritten(flag, percentage, result.after) }
    const remainder = `flag "${flag}" stays at ${percentage} % in Unleash`
    return { kind: 'written', before: { percentage: result.before }, note: result.note, remainder }
  }

  writeZero(context: Context, request: ChangeRequest): Promise<string | undefined> {
    return this.#zero.write(context, request)
  }

  applyState(state: SharedState, onRead: () => void): void {
    this.#flipReader.applyState(state, onRead)
  }
}

function overwritten(flag: string, percentage: number, actual: number | null): string {
  const there = actual === null ? 'no single percentage' : `${actual} %`
  return `flag "${flag}" has ${there} in Unleash, after ${percentage} % was written: another client has changed it there at the same time; check its status, and repeat the change if it is still wanted`
}
