/** Waits for something to become true, looking often; fails after a time that no healthy machine needs. */
export async function until(isTrue: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const giveUpAt = Date.now() + limitMs
  while (!(await isTrue())) {
    if (Date.now() > giveUpAt) throw new Error(`waited ${limitMs} ms in vain for: ${isTrue.toString().slice(0, 200)}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** What starting a process may take at most: seconds, on a machine on which others start as well. */
export const STARTED_MS = 30_000
