// Loads a config file, and loads it again after each edit.
import type { ValidationResult } from '../schema/validate.ts'
import { loadConfig } from './load.ts'
import { watchFile } from './watch.ts'

export type FollowedConfig = {
  /** The result of the first load. */
  readonly first: ValidationResult
  /** Sets the listener for edits. Edits arrive one at a time; an edit that was made since the first load arrives at once. */
  readonly onEdit: (listener: (edited: ValidationResult) => void) => void
  readonly close: () => void
}

/** Starts to watch before it loads, so that no edit between the two is lost. */
export async function followConfig(file: string): Promise<FollowedConfig> {
  let notify: ((edited: ValidationResult) => void) | undefined
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
      notify = listener
      void catchUp()
    },
    close: () => {
      isClosed = true
      watch.close()
    },
  }

  async function catchUp(): Promise<void> {
    if (isLoading || notify === undefined) return
    isLoading = true
    while (isStale && !isClosed) {
      isStale = false
      const edited = await loadConfig(file)
      // The file was edited again during the load: only the newest content counts.
      if (!isStale && !isClosed) notify(edited)
    }
    isLoading = false
  }
}
