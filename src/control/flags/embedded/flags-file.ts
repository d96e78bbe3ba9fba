// flags.json where the store keeps the flags: it seeds them, and an edit of it is a change made outside.
import { readFile, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMissing } from '../../../lib/file-errors.ts'
import type { AuditEntry } from '../../../model/audit-log.ts'
import type { FileRejection } from '../../../model/file-rejection.ts'
import type { Clock } from '../../../model/ports.ts'
import { EMPTY_CONTEXT, type EmbeddedFlags, type SharedState } from '../../../model/shared-state.ts'
import { type StateStore, StoreUnavailable } from '../../../model/state-store.ts'
import type { Events } from '../../../telemetry/events.ts'
import { parseFlagFile, rejectionOf } from './flag-file.ts'
import { type Edit, seed } from './seed.ts'

export type FlagsFileOptions = {
  readonly file: string
  readonly store: StateStore
  readonly events: Events
  readonly clock: Clock
  readonly watch: (file: string, onChange: () => void) => { close: () => void }
  /** This gateway's id, for the audit log. */
  readonly gateway: string
  /** The context that a flag belongs to, for the audit log. */
  readonly contextOf: (flag: string) => string | null
}

export type FlagsFile = {
  /** Resolves when what the file says is in the store, or it is known why not. Never rejects. */
  readonly start: () => Promise<void>
  readonly stop: () => Promise<void>
  /** Takes the file over again: the store can be reached now. */
  readonly again: () => void
  readonly trouble: () => string | undefined
  /** The file on disk, if its content was rejected and is not in force. */
  readonly rejection: () => FileRejection | undefined
}

/** An editor that empties a file before it writes it is given this long to finish. */
const SECOND_LOOK_MS = 100
/** Other gateways with the same edit are as quick: one of them wins, the others find it done. */
const MOST_TRIES = 10

export function followFlagsFile(options: FlagsFileOptions): FlagsFile {
  const { file, store, events, clock, watch } = options
  let watcher: { close: () => void } | undefined
  let trouble: string | undefined
  let rejection: FileRejection | undefined
  let reading: Promise<void> | undefined
  let isChangedWhileReading = false
  let isInStore = false
  let isStopped = false
  /** What was taken over, but is not in the audit log yet. */
  let unrecorded: AuditEntry[] = []

  return { start, stop, again: () => void (isInStore || follow()), trouble: () => trouble, rejection: () => rejection }

  async function start(): Promise<void> {
    watcher = watch(file, () => {
      isInStore = false
      void follow()
    })
    await follow()
  }

  async function stop(): Promise<void> {
    isStopped = true
    watcher?.close()
    await reading
  }

  /** One reading at a time; a change in the middle of one is read after it. */
  function follow(): Promise<void> {
    isChangedWhileReading = reading !== undefined
    reading ??= read().finally(() => {
      reading = undefined
      if (isChangedWhileReading && !isStopped) void follow()
    })
    return reading
  }

  async function read(): Promise<void> {
    try {
      await takeOver()
    } catch {
      await sleep(SECOND_LOOK_MS)
      await takeOver().catch(failed)
    }
  }

  async function takeOver(): Promise<void> {
    const [text, { mtimeMs }] = await Promise.all([readFile(file, 'utf8'), stat(file)])
    const parsed = parseFlagFile(file, text) as unknown as EmbeddedFlags
    // Times of the shared state are whole; those of a file are not.
    const editedAt = Math.floor(mtimeMs + store.wallTime() - clock.wallTime())
    await putUntilItIs(parsed, editedAt)
    await recordRest()
    isInStore = true
    trouble = undefined
    rejection = undefined
    events.flagsRead({ source: file, flags: parsed.features.length })
  }

  async function putUntilItIs(parsed: EmbeddedFlags, editedAt: number): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) if (await put(await store.read(), parsed, editedAt)) return
    throw new Error(`${file} was not taken over: others change the shared state all the time`)
  }

  /** @returns false if somebody else was quicker */
  async function put(state: SharedState, parsed: EmbeddedFlags, editedAt: number): Promise<boolean> {
    const isFrozen = (flag: string) => (state.contexts[options.contextOf(flag) ?? '']?.freeze ?? null) !== null
    const { flags, edits } = seed(state, parsed, editedAt, isFrozen)
    if (flags === state.flags) return true
    const isFirst = state.flags === null
    const next = withEdits({ ...state, generation: state.generation + 1, flags }, isFirst ? [] : edits, editedAt)
    const [first = entryOf(undefined, next), ...others] = isFirst
      ? [seededEntry(next, parsed)]
      : edits.map((edit) => entryOf(edit, next))
    const committed = await store.commit(next, first)
    if (!committed.ok) return false
    unrecorded.push(...others)
    if (!isFirst) for (const edit of edits) tell(edit)
    return true
  }

  async function recordRest(): Promise<void> {
    for (let [entry] = unrecorded; entry !== undefined; [entry] = unrecorded) {
      await store.record(entry)
      unrecorded = unrecorded.slice(1)
    }
  }

  /**
   * Whoever looked at a context before an edit has not seen it. Their time is that of the edit: a later one of the same
   * second must not be taken for older than this.
   */
  function withEdits(state: SharedState, edits: readonly Edit[], at: number): SharedState {
    const contexts = { ...state.contexts }
    const { generation } = state
    for (const { flag, before, after: percentage, heldBy } of edits) {
      const name = options.contextOf(flag)
      if (name === null || heldBy !== null || before === percentage) continue
      const stamp = { by: file, reason: null, at }
      const was = Object.hasOwn(contexts, name) ? contexts[name] : EMPTY_CONTEXT
      const flip = percentage === null ? null : { ...stamp, flag, percentage, generation }
      contexts[name] = { ...EMPTY_CONTEXT, ...was, flip, changed: { ...stamp, verb: 'outside', generation } }
    }
    return { ...state, contexts }
  }

  function tell({ flag, before, after, heldBy }: Edit): void {
    const result = heldBy !== null ? 'conflict' : 'done'
    const context = options.contextOf(flag)
    events.changed({
      verb: 'outside',
      context,
      by: file,
      reason: null,
      result,
      before,
      after,
      detail: detailOf(heldBy, flag),
    })
  }

  function entryOf(edit: Edit | undefined, state: SharedState): AuditEntry {
    const heldBy = edit?.heldBy ?? null
    return {
      ...blank(state),
      context: edit === undefined ? null : options.contextOf(edit.flag),
      before: edit?.before ?? null,
      after: edit?.after ?? null,
      result: heldBy !== null ? 'conflict' : 'done',
      detail: edit === undefined ? `${file} was edited: no flag moved` : detailOf(heldBy, edit.flag),
    }
  }

  function seededEntry(state: SharedState, { features }: EmbeddedFlags): AuditEntry {
    return { ...blank(state), detail: `${features.length} flags seeded` }
  }

  function blank(state: SharedState): AuditEntry {
    return {
      at: store.wallTime(),
      actor: file,
      address: null,
      verb: 'outside',
      context: null,
      before: null,
      after: null,
      reason: null,
      until: null,
      result: 'done',
      detail: null,
      generation: state.generation,
      gateway: options.gateway,
    }
  }

  function detailOf(heldBy: Edit['heldBy'], flag: string): string {
    switch (heldBy) {
      case 'flip':
        return `flag "${flag}": a flip is newer than this edit of ${file}, and holds; flip again, or write the flip's percentage into the file`
      case 'freeze':
        return `flag "${flag}" was edited in ${file}, but its context is frozen: the edit was not taken over; thaw it, and flip`
      case null:
        return `flag "${flag}" was edited in ${file}`
    }
  }

  function failed(error: unknown): void {
    const told = isMissing(error) ? new Error(`${file}: there is no such file`) : error
    trouble = told instanceof Error ? told.message : String(told)
    rejection = rejectionOf(file, error, rejection?.since ?? clock.wallTime())
    // The store has reported why: the log says it once.
    const reported = told instanceof StoreUnavailable ? new Error('the store does not take the flags') : told
    events.flagsFailed({ source: file, error: reported })
  }
}
