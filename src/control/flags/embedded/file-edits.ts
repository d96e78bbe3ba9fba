// How edits of the flags file appear in the shared state and in the audit log. Pure.
import type { AuditEntry } from '../../../model/audit-log.ts'
import { EMPTY_CONTEXT, type EmbeddedFlags, type SharedState } from '../../../model/shared-state.ts'
import { auditEntry } from '../../audit/audit-entry.ts'
import type { Edit } from './seed.ts'

export type EditSource = {
  readonly file: string
  /** The id of this gateway. */
  readonly gateway: string
  /** The name of the context that a flag belongs to; null without one. */
  readonly contextOf: (flag: string) => string | null
}

/**
 * The state with the edits as the last changes of their contexts, so that an operator who has not seen them gets a conflict. Their
 * time is the time of the edit: a later edit within the same second must not count as older.
 */
export function stateWithEdits(
  state: SharedState,
  edits: readonly Edit[],
  editedAt: number,
  { file, contextOf }: EditSource,
): SharedState {
  const contexts = { ...state.contexts }
  const { generation } = state
  for (const edit of edits) {
    const { flag, after: percentage } = edit
    const name = contextOf(flag)
    if (name === null || edit.heldBy !== null || edit.before === percentage) continue
    const stamp = { by: file, reason: null, at: editedAt }
    const current = Object.hasOwn(contexts, name) ? contexts[name] : EMPTY_CONTEXT
    const flip = percentage === null ? null : { ...stamp, flag, percentage, generation }
    contexts[name] = { ...EMPTY_CONTEXT, ...current, flip, changed: { ...stamp, verb: 'outside', generation } }
  }
  return { ...state, contexts }
}

/** @param now milliseconds since 1970, by the store's clock @param generation of the state that the edits make */
export function entriesOf(
  edits: readonly Edit[],
  now: number,
  generation: number,
  { file, gateway, contextOf }: EditSource,
): readonly [AuditEntry, ...AuditEntry[]] {
  const common = { at: now, actor: file, verb: 'outside', generation, gateway } as const
  const [first, ...others] = edits.map((edit) =>
    auditEntry({
      ...common,
      context: contextOf(edit.flag),
      before: edit.before,
      after: edit.after,
      result: edit.heldBy === null ? 'done' : 'conflict',
      detail: describeEdit(file, edit),
    }),
  )
  return [first ?? auditEntry({ ...common, detail: `${file} was edited: no flag moved` }), ...others]
}

export function seededEntry(
  { features }: EmbeddedFlags,
  now: number,
  generation: number,
  { file, gateway }: EditSource,
): AuditEntry {
  const detail = `${features.length} flags seeded`
  return auditEntry({ at: now, actor: file, verb: 'outside', detail, generation, gateway })
}

function describeEdit(file: string, { flag, heldBy }: Edit): string {
  switch (heldBy) {
    case 'flip':
      return `flag "${flag}": a flip is newer than this edit of ${file}, and stays in force; flip again, or write the flip's percentage into the file`
    case 'freeze':
      return `flag "${flag}" was edited in ${file}, but its context is frozen: the edit was not taken over; thaw it, and flip`
    case null:
      return `flag "${flag}" was edited in ${file}`
  }
}
