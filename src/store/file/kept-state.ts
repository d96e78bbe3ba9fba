// The state in a folder: `state.json`, which is replaced as a whole, and a copy of it for the day when it cannot be read.
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { EMPTY_STATE, type SharedState } from '../../model/shared-state.ts'
import type { Restored } from '../events.ts'
import { mergeStates } from '../merge-states.ts'
import { replaceFile, syncFolder, writeBeside } from '../replace-file.ts'
import { type Replayed, replayAudit } from '../replay-audit.ts'
import { parseEntry, parseState, textOfEntry, textOfState } from '../shape.ts'
import type { AuditFile } from './audit-file.ts'
import { LITTER_MS } from './litter.ts'

/** A state and the entry of the audit log that belongs to it: in one file, so that there are both or neither. */
export type Kept = {
  readonly state: SharedState
  /** The line as it stands in the log, or will. */
  readonly entry: string | undefined
  /** How long the log was before it, in bytes. */
  readonly auditBytes: number
}

/** ... and what was put back into it, where it was older than what is left. */
export type Recovered = Kept & { readonly restored?: Restored }

/** The newest entries of the audit log that may be made again. */
const MOST_REPLAYED = 1000

const keptShape = z.object({ state: z.unknown(), entry: z.unknown(), auditBytes: z.number() })

export class KeptState {
  private readonly file: string
  private readonly copy: string
  private readonly folder: string
  private readonly troubled: (error: Error) => void

  constructor(folder: string, troubled: (error: Error) => void) {
    this.folder = folder
    this.file = join(folder, 'state.json')
    this.copy = join(folder, 'state.copy.json')
    this.troubled = troubled
  }

  /** @throws what the file system says, or {@link NotThat}; undefined if there is none */
  async read(): Promise<Kept | undefined> {
    return readKept(this.file)
  }

  /**
   * What is there, or what can be made of what is left: never silently nothing. Whoever calls it has the folder.
   *
   * @param known the state that this process knows: the folder may have been replaced by an older one under it
   * @throws what the file system says, where there may be a state that it does not show
   */
  async recover(audit: AuditFile, known: SharedState): Promise<Recovered> {
    await this.clearLitter()
    const unreadable = await this.read().catch((error: unknown) => {
      if (isOfFileSystem(error)) throw error
      return error instanceof Error ? error : new Error(String(error))
    })
    if (unreadable !== undefined && !(unreadable instanceof Error))
      return this.withLaterChanges(unreadable, audit, known)
    const lastLine = await audit.newest((text) => generationOf(text) > 0, Number.POSITIVE_INFINITY)
    const copy = await readKept(this.copy).catch(() => undefined)
    if (unreadable === undefined && lastLine === undefined && copy === undefined && known.generation === 0)
      return NOTHING
    const lastGeneration = lastLine === undefined ? 0 : generationOf(lastLine)
    const anew = await this.makeAnew(unreadable, copy, lastGeneration, audit)
    return this.withLaterChanges(anew, audit, known)
  }

  /**
   * Replaces the state. It is done when this resolves; if it rejects, nothing was changed.
   *
   * @throws what the file system says
   */
  async write(stateText: string, entry: string, auditBytes: number): Promise<void> {
    const unfinished = await writeBeside(this.file, keptText(stateText, entry, auditBytes))
    try {
      await rename(unfinished, this.file)
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => {})
      throw error
    }
    // From here on it is what a restart would find. Only a power cut could still undo it.
    await syncFolder(this.folder).catch((error: unknown) =>
      this.troubled(new Error(`${this.file} was written, and a power cut may undo it`, { cause: error })),
    )
  }

  /** Makes the copy: of the same, so that nothing is lost with one of them. */
  async writeCopy(kept: Kept): Promise<void> {
    await replaceFile(this.copy, keptText(JSON.stringify(kept.state), kept.entry, kept.auditBytes))
  }

  private async makeAnew(
    unreadable: Error | undefined,
    copy: Kept | undefined,
    lastGeneration: number,
    audit: AuditFile,
  ): Promise<Kept> {
    const aside = `${this.file}.unreadable-${Date.now()}`
    if (unreadable !== undefined) await rename(this.file, aside)
    const from = copy ?? NOTHING
    const replayed = await replayedFrom(audit, from.state)
    const generation = Math.max(from.state.generation, lastGeneration)
    const what = unreadable === undefined ? 'is gone' : `cannot be read; it is kept as ${aside}`
    const instead =
      copy === undefined ? 'there is no copy' : `generation ${copy.state.generation} is taken from state.copy.json`
    const missing = generation > from.state.generation ? `; ${putBackFromLog(replayed)}` : ''
    this.troubled(new Error(`${this.file} ${what}; ${instead}${missing}`, { cause: unreadable }))
    const state = { ...replayed.state, generation }
    await replaceFile(this.file, keptText(JSON.stringify(state), undefined, 0))
    return { state, entry: undefined, auditBytes: 0 }
  }

  /** An older backup may have been put in the place of `state.json`, or of the folder under a gateway that runs. */
  private async withLaterChanges(kept: Kept, audit: AuditFile, known: SharedState): Promise<Recovered> {
    const copy = await readKept(this.copy).catch(() => undefined)
    const others = copy === undefined ? known : mergeStates(copy.state, known)
    const replayed = await replayedFrom(audit, mergeStates(kept.state, others))
    const { state } = replayed
    if (state === kept.state) return kept
    const text = textOfState(state)
    await replaceFile(this.file, keptText(text, undefined, 0))
    const restored = { generation: state.generation, found: kept.state.generation, entries: 0, lost: replayed.lost }
    return { state, entry: undefined, auditBytes: 0, restored }
  }

  private async clearLitter(): Promise<void> {
    const names = await readdir(this.folder).catch(() => [])
    for (const name of names) {
      if (!/^(?:.+\.tmp|lock\..+)$/.test(name)) continue
      const path = join(this.folder, name)
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }))
      if (Date.now() - mtimeMs > LITTER_MS) await rm(path, { force: true }).catch(() => {})
    }
  }
}

/** The later changes of the audit log, made again. */
async function replayedFrom(audit: AuditFile, state: SharedState): Promise<Replayed> {
  const { records } = await audit.page({ limit: MOST_REPLAYED })
  return replayAudit(state, records.toReversed())
}

function putBackFromLog({ lost }: Replayed): string {
  const rest = lost.length === 0 ? '' : `; make these changes again: ${lost.join(', ')}`
  return `kill switch, pins, rollbacks and freezes are put back from audit.jsonl${rest}`
}

const NOTHING: Kept = { state: EMPTY_STATE, entry: undefined, auditBytes: 0 }

async function readKept(file: string): Promise<Kept | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (isOfFileSystem(error) && error.code === 'ENOENT') return undefined
    throw error
  }
  const { state, entry, auditBytes } = keptShape.parse(JSON.parse(text))
  return {
    state: parseState(JSON.stringify(state)),
    entry: entry === null || entry === undefined ? undefined : textOfEntry(parseEntry(JSON.stringify(entry))),
    auditBytes,
  }
}

/** JSON in a state is JSON in the file, for whoever opens it. */
function keptText(state: string, entry: string | undefined, auditBytes: number): string {
  return `{"state":${state},\n"entry":${entry ?? 'null'},\n"auditBytes":${auditBytes}}\n`
}

function generationOf(line: string): number {
  try {
    return parseEntry(line).generation ?? 0
  } catch {
    return 0
  }
}

function isOfFileSystem(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}
