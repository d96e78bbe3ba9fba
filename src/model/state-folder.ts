// The state folder of a gateway as `status` and the metrics show it.

export type StateFolderStatus = {
  readonly location: string
  /** False from a failed write until a later write succeeds. */
  readonly isWritable: boolean
  /** The error of the failed write; undefined while the folder is writable. */
  readonly trouble: string | undefined
  /** The code of the error, such as `ENOSPC`. */
  readonly code: string | undefined
  /** When the write failed, in milliseconds since 1970. */
  readonly since: number | undefined
  /** Its permissions in octal, such as `0777`, if its group or others can write there; undefined otherwise and on Windows. */
  readonly openMode: string | undefined
}
