// The state in a folder: `state.json`, which is always replaced as a whole, and a copy in case it becomes unreadable.
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { isMissing } from '../../lib/file-errors.ts'
import { renameNewContent, replaceFile, syncFolder } from '../../lib/replace-file.ts'
import { EMPTY_STATE, type SharedState } from '../../model/shared-state.ts'
import { mergeStates } from '../merge-states.ts'
import { type ReplayResult, replayAudit } from '../replay-audit.ts'
import { parseEntry, parseState, serializeEntry, serializeState } from '../state-schema.ts'
import type { RestoreResult } from '../store-events.ts'
import type { AuditFile } from './audit-file.ts'
import { removeStaleFiles } from './temporary-files.ts'

/** A state and its audit entry in one file, so that a crash leaves both or neither. */
export type StateRecord = {
  readonly state: SharedState
  /** The line of the audit log, which may not be in the log yet. */
  readonly entry: string | undefined
  /** The size of the log before the entry, in bytes. */
  readonly auditBytes: number
}

type RecoveredState = StateRecord & {
  /** Set if the file was older than the other sources. */
  readonly restored?: RestoreResult
}

/** At most this many of the newest entries of the audit log are replayed. */
const MAX_REPLAYED = 1000
const EMPTY_RECORD: StateRecord = { state: EMPTY_STATE, entry: undefined, auditBytes: 0 }

const stateFile = z.object({ state: z.unknown(), entry: z.unknown(), auditBytes: z.number() })

export class StateFiles {
  readonly #folder: string
  readonly #file: string
  readonly #copy: string
  readonly #audit: AuditFile
  readonly #reportError: (error: Error) => void

  constructor(folder: string, audit: AuditFile, reportError: (error: Error) => void) {
    this.#folder = folder
    this.#file = join(folder, 'state.json')
    this.#copy = join(folder, 'state.copy.json')
    this.#audit = audit
    this.#reportError = reportError
  }

  /** @returns undefined if there is no file @throws {InvalidStoredValue} or the error of the file system */
  async read(): Promise<StateRecord | undefined> {
    return readRecord(this.#file)
  }

  /**
   * Reads the state, or recovers it from its copy and the audit log. A loss is always reported. The caller must have the
   * lock of the folder.
   *
   * @param cached the state in memory: the folder may have been replaced by an older one while the gateway was running
   * @throws the error of the file system, if the file may contain a state that cannot be read now
   */
  async recover(cached: SharedState): Promise<RecoveredState> {
    await removeStaleFiles(this.#folder, /^(?:.+\.tmp|lock\..+)$/).catch(() => {})
    const record = await this.read().catch((error: unknown) => {
      if (isFromFileSystem(error)) throw error
      return error instanceof Error ? error : new Error(String(error))
    })
    if (record !== undefined && !(record instanceof Error)) return this.#addLaterChanges(record, cached)
    const lastLine = await this.#audit.findNewest((line) => generationOf(line) > 0)
    const copy = await readRecord(this.#copy).catch(() => undefined)
    const isFirstStart = record === undefined && lastLine === undefined && copy === undefined && cached.generation === 0
    if (isFirstStart) return EMPTY_RECORD
    const lastGeneration = lastLine === undefined ? 0 : generationOf(lastLine)
    return this.#addLaterChanges(await this.#recreate(record, copy, lastGeneration), cached)
  }

  /**
   * Replaces the state. If it rejects, nothing was changed.
   *
   * @throws the error of the file system
   */
  async write(stateText: string, entry: string, auditBytes: number): Promise<void> {
    await renameNewContent(this.#file, formatRecord(stateText, entry, auditBytes))
    // A restart reads the new state from now on. Only a power cut could still undo it.
    await syncFolder(this.#folder).catch((error: unknown) =>
      this.#reportError(new Error(`${this.#file} was written, but a power cut may undo it`, { cause: error })),
    )
  }

  async writeCopy({ state, entry, auditBytes }: StateRecord): Promise<void> {
    await replaceFile(this.#copy, formatRecord(JSON.stringify(state), entry, auditBytes))
  }

  /** @param unreadable the error of reading `state.json`; undefined if the file does not exist */
  async #recreate(
    unreadable: Error | undefined,
    copy: StateRecord | undefined,
    lastGeneration: number,
  ): Promise<StateRecord> {
    const unreadableFile = `${this.#file}.unreadable-${Date.now()}`
    if (unreadable !== undefined) await rename(this.#file, unreadableFile)
    const base = (copy ?? EMPTY_RECORD).state
    const replayed = await this.#replay(base)
    const generation = Math.max(base.generation, lastGeneration)
    const problem = unreadable === undefined ? 'is gone' : `cannot be read; it is kept as ${unreadableFile}`
    const source =
      copy === undefined ? 'there is no copy' : `generation ${base.generation} is taken from state.copy.json`
    const replay = generation > base.generation ? `; ${describeReplay(replayed)}` : ''
    this.#reportError(new Error(`${this.#file} ${problem}; ${source}${replay}`, { cause: unreadable }))
    const state = { ...replayed.state, generation }
    await this.#replace(JSON.stringify(state))
    return { state, entry: undefined, auditBytes: 0 }
  }

  /** Someone may have restored an older backup of `state.json`, or of the folder while the gateway was running. */
  async #addLaterChanges(record: StateRecord, cached: SharedState): Promise<RecoveredState> {
    const copy = await readRecord(this.#copy).catch(() => undefined)
    const others = copy === undefined ? cached : mergeStates(copy.state, cached)
    const { state, lost } = await this.#replay(mergeStates(record.state, others))
    if (state === record.state) return record
    await this.#replace(serializeState(state))
    const restored = { generation: state.generation, found: record.state.generation, entries: 0, lost }
    return { state, entry: undefined, auditBytes: 0, restored }
  }

  async #replace(stateText: string): Promise<void> {
    await replaceFile(this.#file, formatRecord(stateText, undefined, 0))
  }

  /** Repeats the later changes of the audit log. */
  async #replay(state: SharedState): Promise<ReplayResult> {
    const { records } = await this.#audit.page({ limit: MAX_REPLAYED })
    return replayAudit(state, records.toReversed())
  }
}

function describeReplay({ lost }: ReplayResult): string {
  const rest = lost.length === 0 ? '' : `; make these changes again: ${lost.join(', ')}`
  return `kill switch, pins, rollbacks and freezes are restored from audit.jsonl${rest}`
}

async function readRecord(file: string): Promise<StateRecord | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  const { state, entry, auditBytes } = stateFile.parse(JSON.parse(text))
  return {
    state: parseState(JSON.stringify(state)),
    entry: entry === null || entry === undefined ? undefined : serializeEntry(parseEntry(JSON.stringify(entry))),
    auditBytes,
  }
}

/** The state is nested JSON, not a string, so that an operator can read the file. */
function formatRecord(stateText: string, entry: string | undefined, auditBytes: number): string {
  return `{"state":${stateText},\n"entry":${entry ?? 'null'},\n"auditBytes":${auditBytes}}\n`
}

function generationOf(line: string): number {
  try {
    return parseEntry(line).generation ?? 0
  } catch {
    return 0
  }
}

function isFromFileSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
