// Composes the two logs and the metrics behind `Events`. A gateway does this once.
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import type { LogLevel } from '../model/log-level.ts'
import type { Clock } from '../model/ports.ts'
import type { Side } from '../model/route.ts'
import { createEvents } from './create-events.ts'
import type { Events } from './events.ts'
import { AccessLog } from './log/access-log.ts'
import { LineFile } from './log/line-file.ts'
import { createLog } from './log/log.ts'
import { Metrics } from './metrics/metrics.ts'
import type { Readings } from './metrics/readings.ts'

type TelemetryOptions = {
  /** A file, or `-` for stdout; no access log if undefined. */
  readonly accessLog: string | undefined
  readonly logLevel: LogLevel
  /** Sentences instead of JSON; if not given, this is decided by whether the stream is a terminal. */
  readonly pretty?: boolean
  readonly clock: Clock
  /** Called at each scrape of the metrics. */
  readonly readings: () => Readings
}

export type Telemetry = {
  readonly events: Events
  readonly registry: Registry
  readonly log: Logger
  /** Requests so far, by context and side. */
  readonly requestsBySide: () => Record<string, Record<Side, number>>
  /** Writes that the service has answered with 2xx or 3xx, by context. */
  readonly serviceWrites: () => Record<string, number>
  /** Opens the file of the access log again, after a log rotation (SIGHUP). */
  readonly reopen: () => void
  /** Writes all waiting lines synchronously, before the process ends. */
  readonly flushSync: () => void
  readonly close: () => Promise<void>
}

export function createTelemetry({ accessLog, logLevel, pretty, clock, readings }: TelemetryOptions): Telemetry {
  const stderr = new LineFile({ to: 2, batchBytes: 0 })
  const log = createLog(stderr, logLevel, pretty ?? process.stderr.isTTY === true)

  const accessFile = accessLog === undefined ? undefined : openAccessLog(accessLog, log)
  const isPretty = accessLog === '-' && (pretty ?? process.stdout.isTTY === true)
  const metrics = new Metrics({ readings, linesLost: () => accessFile?.lost() ?? 0 })

  return {
    events: createEvents({
      metrics,
      accessLog: accessFile && new AccessLog(accessFile, clock, isPretty),
      log,
      clock,
    }),
    registry: metrics.registry,
    log,
    requestsBySide: () => metrics.requestsBySide(),
    serviceWrites: () => metrics.serviceWrites(),
    reopen: () => accessFile?.reopen(),
    flushSync() {
      accessFile?.flushSync()
      stderr.flushSync()
    },
    async close() {
      metrics.close()
      await accessFile?.close()
      await stderr.close()
    },
  }
}

function openAccessLog(path: string, log: Logger): LineFile {
  return new LineFile({
    to: path === '-' ? 1 : path,
    onTrouble: (error) =>
      error === undefined
        ? log.info({ path }, 'access log is written again')
        : log.warn({ path, err: error }, 'access log cannot be written: its lines are dropped and counted'),
  })
}
