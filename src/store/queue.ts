// One thing after the other, whatever becomes of each.

export type Queue = <T>(what: () => Promise<T>) => Promise<T>

export function queue(): Queue {
  let last: Promise<unknown> = Promise.resolve()
  return (what) => {
    const result = last.then(what)
    last = result.catch(() => {})
    return result
  }
}
