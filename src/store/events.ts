// What a store tells whoever runs it.

/** What was put back into a store that had come back empty or with an older state. */
export type Restored = {
  /** Of the state that was put back. */
  readonly generation: number
  /** What the store had instead: 0 where it was empty. */
  readonly found: number
  /** Entries of the audit log that were missing there. */
  readonly entries: number
  /** Acknowledged changes that a later one has replaced in the state that is in force now, in words. */
  readonly lost: readonly string[]
}

/** One function for each event; a listener that throws is told through `troubled`. */
export type StoreEvents = {
  /** Something that a person should look at: a state that cannot be read, a copy that cannot be written. */
  readonly troubled: (error: Error) => void
  /** The store cannot be reached or written, for this reason; called once for each time. */
  readonly cutOff: (reason: string) => void
  /** It can be again, after so many milliseconds. */
  readonly reached: (cutOffMs: number) => void
  readonly restored: (facts: Restored) => void
  /** The state folder holds nothing, though the store knows a gateway of this name, at this generation of the state. */
  readonly folderLost?: (generation: number) => void
  /** A file of the state folder could not be written. */
  readonly writeFailed?: (error: unknown) => void
}

export const NO_EVENTS: StoreEvents = { troubled: () => {}, cutOff: () => {}, reached: () => {}, restored: () => {} }
