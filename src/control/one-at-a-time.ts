// Work that many ask for and that need not be done for each of them.

/**
 * Runs `work` for everything that was asked for while the last run was under way, once: a run that has begun may have
 * looked before the asker's change, so nobody is given the one that is under way.
 *
 * @returns resolves when a run that began after the call has ended
 */
export function oneAtATime<Wanted>(work: (wanted: ReadonlySet<Wanted>) => Promise<void>) {
  let running: Promise<void> | undefined
  let next: { readonly wanted: Set<Wanted>; readonly done: Promise<void> } | undefined

  return (wanted: readonly Wanted[]): Promise<void> => {
    if (running === undefined) return run(new Set(wanted))
    next ??= { wanted: new Set(), done: running.then(runNext, runNext) }
    for (const one of wanted) next.wanted.add(one)
    return next.done
  }

  function run(wanted: ReadonlySet<Wanted>): Promise<void> {
    const done = work(wanted).finally(() => {
      if (running === done) running = undefined
    })
    running = done
    return done
  }

  function runNext(): Promise<void> {
    const { wanted } = next as NonNullable<typeof next>
    next = undefined
    return run(wanted)
  }
}
