// The embedded flags: a file in Unleash's format, served to Unleash's own evaluation and followed as it is edited.
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMissing } from '../../../lib/file-errors.ts'
import type { FileRejection } from '../../../model/file-rejection.ts'
import type { Clock } from '../../../model/ports.ts'
import type { Events } from '../../../telemetry/events.ts'
import { Evaluator } from '../evaluator.ts'
import { FlagRepository } from '../flag-repository.ts'
import { type FlagStatus, type Flags, flagEngine } from '../flags.ts'
import { NO_SERVER } from '../unleash/no-server.ts'
import { parseFlagFile, rejectionOf } from './flag-file.ts'

export type FileFlagsOptions = {
  readonly file: string
  readonly events: Events
  readonly clock: Clock
  /** Calls back after the file changed, appeared or went away. */
  readonly watch: (file: string, onChange: () => void) => { close: () => void }
}

/** An editor that empties a file before it writes it is given this long to finish. */
const SECOND_LOOK_MS = 100

export function fileFlags({ file, events, clock, watch }: FileFlagsOptions): Flags {
  const engine = flagEngine(events)
  let watcher: { close: () => void } | undefined
  let lastText: string | undefined
  let flags = 0
  let trouble: { readonly message: string; readonly since: number } | undefined
  let rejection: FileRejection | undefined
  let reading: Promise<void> | undefined
  let changedWhileReading = false

  const { evaluate: ask, isFullyOn, trace, percentage } = engine
  return { evaluate: ask, isFullyOn, isOlderThan, trace, percentage, start, stop, refresh, status }

  async function start(): Promise<void> {
    watcher = watch(file, () => void follow())
    await follow()
  }

  async function stop(): Promise<void> {
    watcher?.close()
    await reading
  }

  /** A reading under way may have seen the file before the change. */
  async function refresh(): Promise<void> {
    await reading
    await follow()
  }

  function status(): FlagStatus {
    const stale = engine.current() === undefined
    const ageMs = stale ? undefined : trouble === undefined ? 0 : clock.now() - trouble.since
    return {
      source: 'file',
      location: file,
      flags,
      ageMs,
      stale,
      trouble: trouble?.message,
      isRefused: false,
      rejection,
    }
  }

  function isOlderThan(ageMs: number): boolean {
    if (engine.current() === undefined) return true
    return trouble !== undefined && clock.now() - trouble.since > ageMs
  }

  /** One reading at a time; a change in the middle of one is read after it. */
  function follow(): Promise<void> {
    changedWhileReading = reading !== undefined
    reading ??= read().finally(() => {
      reading = undefined
      if (changedWhileReading) void follow()
    })
    return reading
  }

  async function read(): Promise<void> {
    try {
      await apply()
    } catch {
      await sleep(SECOND_LOOK_MS)
      await apply().catch(keepLastGood)
    }
  }

  async function apply(): Promise<void> {
    const text = await readFile(file, 'utf8')
    if (text === lastText && trouble === undefined) return
    const flagSet = parseFlagFile(file, text)
    const repository = new FlagRepository(flagSet)
    engine.use(
      new Evaluator(
        { ...NO_SERVER, repository },
        { onTrouble: report, onSideTrouble: (_part, error) => report(error) },
      ),
    )
    lastText = text
    flags = flagSet.features.length
    trouble = undefined
    rejection = undefined
    events.flagsRead({ source: file, flags })
  }

  function keepLastGood(error: unknown): void {
    const told = isMissing(error)
      ? new Error(`${file}: there is no such file; until it appears, legacy serves all`)
      : error
    trouble = { message: told instanceof Error ? told.message : String(told), since: trouble?.since ?? clock.now() }
    rejection = rejectionOf(file, error, rejection?.since ?? clock.wallTime())
    report(told)
  }

  function report(error: unknown): void {
    events.flagsFailed({ source: file, error })
  }
}
