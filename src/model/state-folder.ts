// The state folder of a gateway as `status` and the metrics show it.

export type StateFolderStatus = {
  readonly location: string
  /** False from a write that the disk has refused until a later one succeeds. */
  readonly isWritable: boolean
  /** The error of that write; undefined while the folder is writable. */
  readonly trouble: string | undefined
  /** Its code, such as `ENOSPC`. */
  readonly code: string | undefined
  /** When it happened, in milliseconds since 1970. */
  readonly since: number | undefined
  /** Its permissions in octal, such as `0777`, if its group or others can write there; undefined otherwise and on Windows. */
  readonly openMode: string | undefined
}
