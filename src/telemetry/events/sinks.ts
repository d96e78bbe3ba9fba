// The destinations of events, and the reports that several groups of events share.
import type { Logger } from 'pino'
import type { Clock } from '../../model/ports.ts'
import type { Context } from '../../model/route.ts'
import type { AccessLog } from '../log/access-log.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { LineLimiter, ProblemMemory } from './repeats.ts'

export type Sinks = {
  readonly metrics: Metrics
  readonly accessLog: AccessLog | undefined
  readonly log: Logger
  readonly clock: Clock
}

/** Every connection fails while no file descriptor is left. */
const OPEN_FILES_INTERVAL_MS = 10_000

/** Logs each flag that the flag authority does not have once, until flags are read again. */
export class MissingFlags {
  readonly #sinks: Sinks
  readonly #problems = new ProblemMemory()

  constructor(sinks: Sinks) {
    this.#sinks = sinks
  }

  report(context: Context | undefined): void {
    if (context === undefined) return
    const { flag, name } = context
    const { metrics, log } = this.#sinks
    metrics.flagMissing(name)
    if (this.#problems.isNew(flag))
      log.warn(
        { flag, context: name },
        `flag "${flag}" is not known to the flag authority: "${name}" stays with legacy`,
      )
  }

  reset(): void {
    this.#problems.clear()
  }
}

/** Reports connections that failed because the limit of open files is reached. */
export class OpenFiles {
  readonly #sinks: Sinks
  readonly #limiter = new LineLimiter(OPEN_FILES_INTERVAL_MS)

  constructor(sinks: Sinks) {
    this.#sinks = sinks
  }

  reportExhausted(during: 'accept' | 'connect'): void {
    const { metrics, log, clock } = this.#sinks
    metrics.openFilesExhausted(during)
    const unsaid = this.#limiter.next(clock.now())
    if (unsaid === undefined) return
    log.error(
      { during, unsaid },
      'no file descriptor is left: raise the limit of open files (ulimit -n), or lower limits.connections',
    )
  }
}

/** EMFILE is the limit of the process, ENFILE the limit of the system. */
export function isOutOfFiles(error: unknown): boolean {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return code === 'EMFILE' || code === 'ENFILE'
}
