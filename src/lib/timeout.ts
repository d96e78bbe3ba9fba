// Waiting with a limit.

/**
 * Waits for `work` for at most `limitMs` milliseconds.
 *
 * @returns the result of `work`, or `fallback` if the limit is reached first
 * @throws the error of `work`, if it fails before the limit
 */
export async function withTimeout<Result, Fallback>(
  limitMs: number,
  work: Promise<Result>,
  fallback: Fallback,
): Promise<Result | Fallback> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<Fallback>((resolve) => {
    timer = setTimeout(resolve, limitMs, fallback)
  })
  try {
    return await Promise.race([work, limit])
  } finally {
    clearTimeout(timer)
  }
}

const TIMED_OUT = Symbol('timed out')

/**
 * Waits for `work` for at most `limitMs` milliseconds.
 *
 * @throws {Error} `no answer within … ms` if the limit is reached first; otherwise the error of `work`
 */
export async function rejectAfter<Result>(limitMs: number, work: Promise<Result>): Promise<Result> {
  const result = await withTimeout(limitMs, work, TIMED_OUT)
  if (result === TIMED_OUT) throw new Error(`no answer within ${limitMs} ms`)
  return result as Result
}

/** Resolves after `ms` milliseconds; a negative number counts as 0. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))
}
