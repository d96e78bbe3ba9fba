/** Polls until a condition is true. Fails after a time that is long enough even on a busy machine. */
export async function until(isTrue: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const giveUpAt = Date.now() + limitMs
  while (!(await isTrue())) {
    if (Date.now() > giveUpAt) throw new Error(`waited ${limitMs} ms in vain for: ${isTrue.toString().slice(0, 200)}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** The time limit for the start of a process, in milliseconds: other tests start processes at the same time. */
export const START_LIMIT_MS = 30_000
