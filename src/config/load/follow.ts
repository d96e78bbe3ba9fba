// A config file and its edits: the first load, then one load after another for as long as it is followed.
import type { Validated } from '../schema/validate.ts'
import { loadConfig } from './load.ts'
import { watchFile } from './watch.ts'

export type FollowedConfig = {
  /** What the file held when it was first read. */
  readonly first: Validated
  /** Begins to tell of edits, one at a time and the newest last; an edit made since the first read comes at once. */
  readonly onEdit: (tell: (edited: Validated) => void) => void
  readonly close: () => void
}

/** Watches before it reads, so that no edit falls between the two. */
export async function followConfig(file: string): Promise<FollowedConfig> {
  let tell: ((edited: Validated) => void) | undefined
  let isStale = false
  let isLoading = true
  let isClosed = false
  const watch = watchFile(file, () => {
    isStale = true
    void catchUp()
  })
  const first = await loadConfig(file)
  isLoading = false

  return {
    first,
    onEdit: (listener) => {
      tell = listener
      void catchUp()
    },
    close: () => {
      isClosed = true
      watch.close()
    },
  }

  async function catchUp(): Promise<void> {
    if (isLoading || tell === undefined) return
    isLoading = true
    while (isStale && !isClosed) {
      isStale = false
      const edited = await loadConfig(file)
      // Edited again meanwhile: only the newest counts.
      if (!isStale && !isClosed) tell(edited)
    }
    isLoading = false
  }
}
