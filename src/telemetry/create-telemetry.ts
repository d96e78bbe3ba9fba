// Composes the two logs and the metrics behind `Events`; gateway.ts calls this once.
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import type { Clock } from '../model/ports.ts'
import type { Side } from '../model/route.ts'
import { createEvents } from './create-events.ts'
import type { Events } from './events.ts'
import { createAccessLog } from './log/access-log.ts'
import { type LineFile, lineFile } from './log/line-file.ts'
import { createLog, type LogLevel } from './log/log.ts'
import { createMetrics, type Readings } from './metrics/metrics.ts'

export type TelemetryOptions = {
  /** A file, `-` for stdout, or undefined for none. */
  readonly accessLog: string | undefined
  readonly logLevel: LogLevel
  /** Lines for people rather than JSON; by default where the stream is a terminal. */
  readonly pretty?: boolean
  readonly clock: Clock
  /** Asked at each scrape of the metrics. */
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
  /** After a log rotation (SIGHUP): opens the access log file anew. */
  readonly reopen: () => void
  /** For a process that is about to die: what is still waiting, written at once. */
  readonly flushSync: () => void
  readonly close: () => Promise<void>
}

export function createTelemetry({ accessLog, logLevel, pretty, clock, readings }: TelemetryOptions): Telemetry {
  const stderr = lineFile({ to: 2, batchBytes: 0 })
  const log = createLog(stderr, logLevel, pretty ?? process.stderr.isTTY === true)

  const accessFile = accessLog === undefined ? undefined : openAccessLog(accessLog, log)
  const isForPeople = accessLog === '-' && (pretty ?? process.stdout.isTTY === true)
  const metrics = createMetrics({ readings, linesLost: () => accessFile?.lost() ?? 0 })

  return {
    events: createEvents({
      metrics,
      accessLog: accessFile && createAccessLog(accessFile, clock, isForPeople),
      log,
      clock,
    }),
    registry: metrics.registry,
    log,
    requestsBySide: metrics.requestsBySide,
    serviceWrites: metrics.serviceWrites,
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
  return lineFile({
    to: path === '-' ? 1 : path,
    onTrouble: (error) =>
      error === undefined
        ? log.info({ path }, 'access log is written again')
        : log.warn({ path, err: error }, 'access log cannot be written: its lines are dropped and counted'),
  })
}
