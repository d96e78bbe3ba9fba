// Who wants to hear of something.

export type Listeners<T> = {
  /** Adds a listener and returns what takes it away again. */
  readonly add: (listener: (value: T) => void) => () => void
  /** Tells everybody: one who throws keeps nobody else from hearing. */
  readonly tell: (value: T) => void
}

export function listeners<T>(troubled: (error: Error) => void): Listeners<T> {
  const all = new Set<{ readonly hear: (value: T) => void }>()
  return {
    add: (hear) => {
      // An object of its own, so that the same function may listen twice.
      const one = { hear }
      all.add(one)
      return () => void all.delete(one)
    },
    tell: (value) => {
      for (const { hear } of [...all]) {
        try {
          hear(value)
        } catch (error) {
          troubled(new Error('a listener of the store threw', { cause: error }))
        }
      }
    },
  }
}
