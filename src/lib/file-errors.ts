// Errors of the file system by their code.

/** Whether a file or folder does not exist (ENOENT). */
export function isMissing(error: unknown): boolean {
  return errorCode(error) === 'ENOENT'
}

/** The code of a system error, such as `ENOSPC`; undefined for any other value. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
