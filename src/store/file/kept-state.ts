// The state in a folder: `state.json`, which is replaced as a whole, and a copy of it for the day when it cannot be read.
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { EMPTY_STATE, type SharedState } from '../../model/shared-state.ts'
import { replaceFile, syncFolder, writeBeside } from '../replace-file.ts'
import { parseEntry, parseState, textOfEntry } from '../shape.ts'
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
   * @throws what the file system says, where there may be a state that it does not show
   */
  async recover(audit: AuditFile): Promise<Kept> {
    await this.clearLitter()
    const unreadable = await this.read().catch((error: unknown) => {
      if (isOfFileSystem(error)) throw error
      return error instanceof Error ? error : new Error(String(error))
    })
    if (unreadable !== undefined && !(unreadable instanceof Error)) return unreadable
    const lastLine = await audit.newest((text) => generationOf(text) > 0, Number.POSITIVE_INFINITY)
    const copy = await readKept(this.copy).catch(() => undefined)
    if (unreadable === undefined && lastLine === undefined && copy === undefined) return NOTHING
    return this.makeAnew(unreadable, copy, lastLine === undefined ? 0 : generationOf(lastLine))
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

  private async makeAnew(unreadable: Error | undefined, copy: Kept | undefined, lastGeneration: number): Promise<Kept> {
    const aside = `${this.file}.unreadable-${Date.now()}`
    if (unreadable !== undefined) await rename(this.file, aside)
    const from = copy ?? NOTHING
    const generation = Math.max(from.state.generation, lastGeneration)
    const what = unreadable === undefined ? 'is gone' : `cannot be read; it is kept as ${aside}`
    const instead =
      copy === undefined
        ? 'there is no copy: all pins, flips and the kill switch are lost'
        : `generation ${copy.state.generation} is taken from state.copy.json`
    const missing =
      generation > from.state.generation
        ? `; what was changed up to generation ${generation} stands in audit.jsonl only, do it again`
        : ''
    this.troubled(new Error(`${this.file} ${what}; ${instead}${missing}`, { cause: unreadable }))
    const state = { ...from.state, generation }
    await replaceFile(this.file, keptText(JSON.stringify(state), undefined, 0))
    return { state, entry: undefined, auditBytes: 0 }
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
