// The embedded flags: kept with the shared state, in Unleash's format, and answered by Unleash's own evaluation.
import type { FileRejection } from '../../../model/file-rejection.ts'
import type { EmbeddedFlags } from '../../../model/shared-state.ts'
import type { StateStore } from '../../../model/state-store.ts'
import type { Events } from '../../../telemetry/events.ts'
import { Evaluator } from '../evaluator.ts'
import { FlagRepository } from '../flag-repository.ts'
import { type FlagStatus, type Flags, flagEngine } from '../flags.ts'
import { NO_SERVER } from '../unleash/no-server.ts'
import { parseFlagFile } from './flag-file.ts'

export type EmbeddedFlagsOptions = {
  readonly store: Pick<StateStore, 'current' | 'status'>
  /** The file that seeds them: what people know them by. */
  readonly file: string
  readonly events: Events
  /** Why the file cannot be read, where it cannot. */
  readonly fileTrouble: () => string | undefined
  /** The file on disk, if its content was rejected. */
  readonly fileRejection: () => FileRejection | undefined
}

export type StoredFlags = Flags & {
  /** Takes the flags of a newer state into use; without any, answers are `stale`. */
  readonly use: (flags: EmbeddedFlags | null) => void
}

export function embeddedFlags({ store, file, events, fileTrouble, fileRejection }: EmbeddedFlagsOptions): StoredFlags {
  const engine = flagEngine(events)
  let inUse: EmbeddedFlags | null = null
  let trouble: string | undefined

  const { evaluate: ask, isFullyOn, trace, percentage } = engine
  return { evaluate: ask, isFullyOn, isOlderThan, trace, percentage, start, stop, refresh, status, use }

  async function start(): Promise<void> {
    use(store.current().flags)
  }

  async function stop(): Promise<void> {}

  /** They come with the state, and whoever asks has applied it. */
  async function refresh(): Promise<void> {
    use(store.current().flags)
  }

  function use(flags: EmbeddedFlags | null): void {
    if (flags === null || flags === inUse) return
    try {
      // Whoever can write to the store could have written anything.
      const read = parseFlagFile('the store', JSON.stringify(flags))
      const repository = new FlagRepository(read)
      engine.use(
        new Evaluator(
          { ...NO_SERVER, repository },
          { onTrouble: failed, onSideTrouble: (_part, error) => failed(error) },
        ),
      )
      inUse = flags
      trouble = undefined
    } catch (error) {
      failed(error)
    }
  }

  function failed(error: unknown): void {
    trouble = error instanceof Error ? error.message : String(error)
    events.flagsFailed({ source: 'the store', error })
  }

  function isOlderThan(ageMs: number): boolean {
    return engine.current() === undefined || store.status().cutOffMs > ageMs
  }

  function status(): FlagStatus {
    const stale = engine.current() === undefined
    return {
      source: 'file',
      location: file,
      flags: inUse?.features.length ?? 0,
      ageMs: stale ? undefined : store.status().cutOffMs,
      stale,
      trouble: trouble ?? fileTrouble(),
      isRefused: false,
      rejection: fileRejection(),
    }
  }
}
