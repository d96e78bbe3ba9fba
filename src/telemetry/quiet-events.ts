// Events that go nowhere: for `explain`, which answers on standard output and has no metrics.
import type { Events } from './events.ts'

/** Any event there is, or will be, does nothing. */
export const quietEvents: Events = new Proxy({} as Events, { get: () => () => {} })
