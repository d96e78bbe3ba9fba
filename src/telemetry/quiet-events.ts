// Events without effect: for `explain`, which writes its result to standard output and has no metrics.
import type { Events } from './events.ts'

/** Every event does nothing. */
export const quietEvents: Events = new Proxy({} as Events, { get: () => () => {} })
