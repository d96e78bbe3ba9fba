/** A map or flags file on disk that is not in force, because its content was rejected. The last good content stays. */
export type FileRejection = {
  readonly file: 'map' | 'flags'
  readonly path: string
  /** Since when the content on disk is not in force, in milliseconds since 1970. */
  readonly since: number
  /** The first mistake in the content on disk, on one line. */
  readonly mistake: string
}
