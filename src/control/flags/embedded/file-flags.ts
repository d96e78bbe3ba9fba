// Flags of a file in Unleash's format, for a gateway without a store: inside an application, or `explain`.
import { readFile } from 'node:fs/promises'
import { isMissing } from '../../../lib/file-errors.ts'
import type { FileRejection } from '../../../model/file-rejection.ts'
import type { Clock } from '../../../model/ports.ts'
import type { Events } from '../../../telemetry/events.ts'
import { FlagEngine } from '../flag-engine.ts'
import type { FlagStatus, Flags } from '../flags.ts'
import { localEvaluator } from '../local-evaluator.ts'
import { parseFlagFile, rejectionOf } from './flag-file.ts'
import { FollowedFile, type WatchFile } from './followed-file.ts'

type FileFlagsOptions = {
  readonly file: string
  readonly events: Events
  readonly clock: Clock
  readonly watch: WatchFile
}

export class FileFlags extends FlagEngine implements Flags {
  readonly #options: FileFlagsOptions
  readonly #followed: FollowedFile
  #lastText: string | undefined
  #flagCount = 0
  #trouble: { readonly message: string; readonly since: number } | undefined
  #rejection: FileRejection | undefined

  constructor(options: FileFlagsOptions) {
    super(options.events)
    this.#options = options
    const { file, watch } = options
    this.#followed = new FollowedFile({
      file,
      watch,
      read: () => this.#read(),
      onFailed: (error) => this.#keepLastFlags(error),
    })
  }

  start(): Promise<void> {
    return this.#followed.start()
  }

  stop(): Promise<void> {
    return this.#followed.stop()
  }

  refresh(): Promise<void> {
    return this.#followed.readAgain()
  }

  isOlderThan(ageMs: number): boolean {
    if (this.evaluator === undefined) return true
    return this.#trouble !== undefined && this.#options.clock.now() - this.#trouble.since > ageMs
  }

  status(): FlagStatus {
    const { file, clock } = this.#options
    const stale = this.evaluator === undefined
    const troubleMs = this.#trouble === undefined ? 0 : clock.now() - this.#trouble.since
    return {
      source: 'file',
      location: file,
      flags: this.#flagCount,
      ageMs: stale ? undefined : troubleMs,
      stale,
      trouble: this.#trouble?.message,
      isRefused: false,
      rejection: this.#rejection,
    }
  }

  async #read(): Promise<void> {
    const { file, events } = this.#options
    const text = await readFile(file, 'utf8')
    if (text === this.#lastText && this.#trouble === undefined) return
    const flags = parseFlagFile(file, text)
    this.useEvaluator(localEvaluator(flags, (error) => this.#report(error)))
    this.#lastText = text
    this.#flagCount = flags.features.length
    this.#trouble = undefined
    this.#rejection = undefined
    events.flagsRead({ source: file, flags: this.#flagCount })
  }

  #keepLastFlags(error: unknown): void {
    const { file, clock } = this.#options
    const reported = isMissing(error)
      ? new Error(`${file}: there is no such file; until it appears, legacy serves all`)
      : error
    const message = reported instanceof Error ? reported.message : String(reported)
    this.#trouble = { message, since: this.#trouble?.since ?? clock.now() }
    this.#rejection = rejectionOf(file, error, this.#rejection?.since ?? clock.wallTime())
    this.#report(reported)
  }

  #report(error: unknown): void {
    this.#options.events.flagsFailed({ source: this.#options.file, error })
  }
}
