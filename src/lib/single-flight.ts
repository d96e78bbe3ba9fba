// Work that many callers request and that is done once for all of them.

/**
 * Runs `work` for all items that were requested while the previous run was under way. A run that has begun is not shared with later
 * callers: it may have read its input before their change.
 *
 * @param work receives the requested items; none if callers pass none
 * @returns a function that resolves with the result of a run that began after its call
 */
export function singleFlight<Result, Item = never>(
  work: (items: ReadonlySet<Item>) => Promise<Result>,
): (items?: readonly Item[]) => Promise<Result> {
  let running: Promise<Result> | undefined
  let next: { readonly items: Set<Item>; readonly result: Promise<Result> } | undefined

  return (items = []) => {
    if (running === undefined) return run(new Set(items))
    next ??= { items: new Set(), result: running.then(runNext, runNext) }
    for (const item of items) next.items.add(item)
    return next.result
  }

  function run(items: ReadonlySet<Item>): Promise<Result> {
    const result = work(items).finally(() => {
      if (running === result) running = undefined
    })
    running = result
    return result
  }

  function runNext(): Promise<Result> {
    const { items } = next as NonNullable<typeof next>
    next = undefined
    return run(items)
  }
}
