// The kill file of this gateway in the control plane: its changes take effect, and are recorded.
import { BUILT_IN_ACTORS } from '../model/built-in-actors.ts'
import type { Context } from '../model/route.ts'
import type { StateStore } from '../model/state-store.ts'
import type { Events } from '../telemetry/events.ts'
import { auditEntry, reportEntry } from './audit/audit-entry.ts'
import type { AuditRecorder } from './audit/audit-recorder.ts'
import { EVERYTHING } from './controls.ts'
import { KillFile } from './kill-file.ts'

export type LocalKillOptions = {
  readonly store: Pick<StateStore, 'wallTime'>
  readonly events: Events
  readonly recorder: AuditRecorder
  readonly contexts: () => ReadonlyMap<string, Context>
  readonly stateDir: string
  /** Replaces a file by rename. @throws the error of the file system */
  readonly replaceFile: (path: string, text: string) => Promise<void>
  /** The id of this gateway. */
  readonly gateway: string
  /** Called when the kill file has changed, before the change is recorded. */
  readonly onChange: () => void
  /** Called when the problem of the kill file has changed. */
  readonly onProblem: () => void
}

export class LocalKill {
  readonly #options: LocalKillOptions
  readonly #file: KillFile
  #isStarted = false

  constructor(options: LocalKillOptions) {
    this.#options = options
    const { stateDir, replaceFile } = options
    this.#file = new KillFile({
      stateDir,
      replaceFile,
      onChange: (names, by, reason) => this.#changed(names, by, reason),
      onProblem: (problem) => this.#reportProblem(problem),
    })
  }

  /** The contexts in the kill file, or {@link EVERYTHING}. */
  get names(): readonly string[] {
    return this.#file.names
  }

  /** Why the kill file is not used as it is, and which of its names are not contexts. */
  get problems(): readonly string[] {
    const unknown = this.#unknownNames(this.names)
    const contexts = [...this.#options.contexts().keys()].join(', ') || 'none'
    const mistake = unknown.length === 0 ? [] : [`there is no context ${unknown.join(', ')}; there are ${contexts}`]
    return [this.#file.problem ?? [], mistake].flat()
  }

  /** Records the kill file that exists at the start. */
  start(): void {
    this.#isStarted = true
    if (this.names.length > 0) this.#changed(this.names, BUILT_IN_ACTORS.killFile, null)
    if (this.#file.problem !== undefined) this.#reportProblem(this.#file.problem)
  }

  /** Never rejects. */
  stop(): Promise<void> {
    return this.#file.stop()
  }

  /** Sends everything to legacy on this gateway alone. */
  kill(by: string): void {
    this.#file.killHere(by)
  }

  /** @returns why the kill file could not be removed; undefined once the revival is in force */
  revive(by: string, reason: string | null): Promise<string | undefined> {
    return this.#file.reviveHere(by, reason)
  }

  #reportProblem(problem: string | undefined): void {
    this.#options.events.killFileRefused({ problem })
    if (this.#isStarted) this.#options.onProblem()
  }

  #changed(names: readonly string[], by: string, reason: string | null): void {
    // A change before the start is recorded by the start.
    if (!this.#isStarted) return
    this.#options.onChange()
    const { store, events, recorder, gateway } = this.#options
    const isKilled = names.length > 0
    const unknown = this.#unknownNames(names)
    const list = isKilled ? `: ${names.join(', ')}` : ''
    const mistake = unknown.length === 0 ? '' : `; there is no context ${unknown.join(', ')}`
    const contexts = isKilled && !names.includes(EVERYTHING) ? names.filter((name) => !unknown.includes(name)) : [null]
    for (const context of contexts) {
      const entry = auditEntry({
        at: store.wallTime(),
        actor: by,
        verb: isKilled ? 'kill' : 'revive',
        context,
        before: !isKilled,
        after: isKilled,
        reason,
        detail: `on ${gateway} alone${list}${mistake}`,
        gateway,
      })
      reportEntry(events, entry)
      recorder.recordLater(entry)
    }
  }

  #unknownNames(names: readonly string[]): readonly string[] {
    return names.filter((name) => name !== EVERYTHING && !this.#options.contexts().has(name))
  }
}
