// Bytes that may be held at once, by all who share it.

export type Budget = {
  /** @returns whether there is room */
  readonly take: (bytes: number) => boolean
  readonly give: (bytes: number) => void
  readonly held: () => number
}

export function createBudget(mostBytes: () => number): Budget {
  let held = 0
  return {
    take: (bytes) => {
      if (held + bytes > mostBytes()) return false
      held += bytes
      return true
    },
    give: (bytes) => {
      held -= bytes
    },
    held: () => held,
  }
}
