/** A map or flags file whose content was rejected. The last good content stays in force. */
export type FileRejection = {
  readonly file: 'map' | 'flags'
  readonly path: string
  /** When the content on disk stopped being in force, in milliseconds since 1970. */
  readonly since: number
  /** The first mistake in the content on disk, on one line. */
  readonly mistake: string
}
