// The events that a store reports to the program that uses it.

/** The result of restoring a store that had returned empty or with an older state. */
export type RestoreResult = {
  /** The generation of the restored state. */
  readonly generation: number
  /** The generation that the store had before; 0 if it was empty. */
  readonly found: number
  /** Number of entries that were added to the audit log. */
  readonly entries: number
  /** Acknowledged changes that a later change has replaced, one sentence each. */
  readonly lost: readonly string[]
}

/** One function for each event. If a listener of the store throws, the error is passed to `failed`. */
export type StoreEvents = {
  /** An operator must look at this error: a state that cannot be read, a copy that cannot be written. */
  readonly failed: (error: Error) => void
  /** The store cannot be reached or written, for this reason. Called once for each outage. */
  readonly disconnected: (reason: string) => void
  /** The outage is over. @param outageMs its duration in milliseconds */
  readonly reconnected: (outageMs: number) => void
  readonly restored: (result: RestoreResult) => void
  /** The state folder is empty, but the store knows a gateway of this name, at this generation of the state. */
  readonly folderLost?: (generation: number) => void
  /** A file of the state folder could not be written. */
  readonly writeFailed?: (error: unknown) => void
}

export const NO_EVENTS: StoreEvents = {
  failed: () => {},
  disconnected: () => {},
  reconnected: () => {},
  restored: () => {},
}
