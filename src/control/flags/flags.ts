// The interface of a source of flags. There are three: a file, the shared state, and Unleash.
import type { FlagContext } from '../../model/decision.ts'
import type { FileRejection } from '../../model/file-rejection.ts'
import type { FlagPercentage, FlagReader } from '../../model/ports.ts'
import type { FlagTrace } from './flag-trace.ts'

export type Flags = FlagReader & {
  /** Never rejects. While no flags could be read, the answer to every flag is `stale`. */
  readonly start: () => Promise<void>
  readonly stop: () => Promise<void>
  /**
   * Reads the flags now. When it resolves, changes of before the call are in use, or `status` has the reason. Never rejects.
   *
   * @param changed flags that have changed: only these are read at once, the others soon after; default all
   */
  readonly refresh: (changed?: readonly string[]) => Promise<void>
  /** The percentage of the flag that is in use. */
  readonly percentage: (flag: string) => FlagPercentage
  readonly status: () => FlagStatus
  /** How the answer of a flag comes about, for `explain`. */
  readonly trace: (flag: string, context: FlagContext) => FlagTrace
}

export type FlagStatus = {
  readonly source: 'file' | 'unleash'
  /** The file, or the URL without credentials. */
  readonly location: string
  readonly flags: number
  /** How long the flags in use may have been out of date; undefined if none were ever read. */
  readonly ageMs: number | undefined
  /** No flags were ever read: all requests go to legacy. */
  readonly stale: boolean
  /** Why the last read failed; undefined if it did not. */
  readonly trouble: string | undefined
  /** Unleash rejects the API token: an operator must replace it. */
  readonly isRefused: boolean
  /** The flags file on disk, if its content was rejected. */
  readonly rejection?: FileRejection | undefined
}
