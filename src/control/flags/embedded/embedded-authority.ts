// The flag authority of a gateway without Unleash: the flags are part of the shared state, and a file seeds them.
import type { FlagPercentage } from '../../../model/ports.ts'
import type { Context } from '../../../model/route.ts'
import type { SharedState } from '../../../model/shared-state.ts'
import type { ContextFlag, FlagAuthority, FlagWrite } from '../flag-authority.ts'
import { embeddedContextFlag } from './embedded-context-flag.ts'
import { percentageAmong } from './embedded-writer.ts'
import { FlagsFile, type FlagsFileOptions } from './flags-file.ts'
import { StoredFlags } from './stored-flags.ts'

const WRITTEN: FlagWrite = { kind: 'written' }

export class EmbeddedAuthority implements FlagAuthority {
  readonly flags: StoredFlags
  readonly #file: FlagsFile

  constructor(options: FlagsFileOptions) {
    this.#file = new FlagsFile(options)
    this.flags = new StoredFlags({
      store: options.store,
      file: options.file,
      events: options.events,
      fileError: () => this.#file.trouble,
      fileRejection: () => this.#file.rejection,
    })
  }

  async start(): Promise<void> {
    await this.#file.start()
    await this.flags.start()
  }

  stop(): Promise<void> {
    return this.#file.stop()
  }

  retry(): void {
    this.#file.retry()
  }

  percentageIn(state: SharedState, flag: string): FlagPercentage {
    return state.flags === null ? this.flags.percentage(flag) : percentageAmong(state.flags, flag)
  }

  /** Embedded flags belong to a generation: each gateway that has applied it has their percentages. */
  expectedPercentages(): ReadonlyMap<string, number | null> {
    return new Map()
  }

  contextFlag({ flags }: SharedState, { flag }: Context): ContextFlag {
    return embeddedContextFlag(flags, flag)
  }

  /** The transition moves the flag: nothing is written before the commit. */
  async writePercentage(): Promise<FlagWrite> {
    return WRITTEN
  }

  async writeZero(): Promise<undefined> {}

  applyState({ flags }: SharedState): void {
    this.flags.use(flags)
  }
}
