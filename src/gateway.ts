// Composition root: the only file that sees both planes. Builds, starts and stops everything in order.
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type Admin, type Readiness, startAdmin } from './admin/server.ts'
import { compile } from './config/compile.ts'
import { followConfig } from './config/follow.ts'
import { format, type Mistake } from './config/mistake.ts'
import type { Options } from './config/options.ts'
import { watchFile } from './config/watch.ts'
import { fileFlags } from './control/file-flags.ts'
import type { Flags } from './control/flags.ts'
import { unleashFlags } from './control/unleash-flags.ts'
import type { Clock, Random } from './model/ports.ts'
import type { Snapshot } from './model/snapshot.ts'
import { createAnonymousIds } from './proxy/anonymous-id.ts'
import { createForward } from './proxy/forward.ts'
import type { Plane } from './proxy/handle-request.ts'
import { createIdentify } from './proxy/identify.ts'
import { type ProxyServer, startServer } from './proxy/server.ts'
import { Upstreams } from './proxy/upstreams.ts'
import { systemClock, systemRandom } from './runtime.ts'
import { createTelemetry } from './telemetry/create-telemetry.ts'
import type { Events } from './telemetry/events.ts'

export type GatewayOptions = Options & {
  readonly clock?: Clock
  readonly random?: Random
}

export type Gateway = {
  readonly port: number
  readonly adminPort: number
  /** Drains and stops. @param signal what asked for it, for the log */
  readonly stop: (signal: string) => Promise<void>
  /** Opens the log files anew, after they were rotated. */
  readonly reopenLogs: () => void
  /** The last words of a process that is about to die: why, and the log lines that were still waiting. */
  readonly crashed: (error: unknown) => void
}

/** The config cannot be used; every mistake in it is listed. */
export class ConfigError extends Error {
  readonly mistakes: readonly Mistake[]

  constructor(file: string, mistakes: readonly Mistake[]) {
    super(`${file}: ${mistakes.length} mistake${mistakes.length === 1 ? '' : 's'}`)
    this.mistakes = mistakes
  }
}

/**
 * Starts a gateway.
 *
 * @throws {ConfigError} if the config cannot be used
 * @throws NodeJS.ErrnoException with code EADDRINUSE or EACCES if a port cannot be had
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { clock = systemClock, random = systemRandom() } = options
  const followed = await followConfig(options.config)
  if (!followed.first.ok) {
    followed.close()
    throw new ConfigError(options.config, followed.first.mistakes)
  }

  const snapshots: { current: Snapshot } = { current: { ...compile(followed.first.config), generation: 1 } }
  let server: ProxyServer | undefined
  let phase: Readiness['status'] = 'starting'

  const telemetry = createTelemetry({
    accessLog: options.accessLog,
    logLevel: options.logLevel,
    clock,
    readings: () => readings(upstreams, flags, server),
  })
  const { events } = telemetry
  const upstreams = new Upstreams({ now: clock.now, events })
  upstreams.apply(snapshots.current)
  announce(events, options.config, snapshots.current)

  const flags = createFlags(options, events, clock)
  await flags.start()

  const secret = options.cookieSecret ?? keptSecret(options.stateDir, events)
  const anonymousIds = createAnonymousIds(secret, random)
  const viaName = `strangler-${random.hex(4)}`
  const { forward, exchanges } = createForward({
    upstreams,
    anonymousIds,
    now: clock.now,
    viaName,
    isDraining: () => phase === 'draining',
  })
  const identify = createIdentify(anonymousIds, random)
  const plane: Plane = {
    snapshots,
    flags,
    upstreams,
    identify,
    anonymousIds,
    forward,
    exchanges,
    events,
    random,
    now: clock.now,
    viaName,
  }

  const readiness = (): Readiness => {
    const { source, ageMs, stale } = flags.status()
    return {
      status: phase,
      generation: snapshots.current.generation,
      flags: { source, ageSeconds: ageMs === undefined ? null : Math.round(ageMs / 1000), stale },
      upstreams: upstreams.summary(),
    }
  }
  let admin: Admin | undefined
  try {
    admin = await startAdmin({
      host: options.adminHost,
      port: options.adminPort,
      allowedHosts: options.adminNames,
      registry: telemetry.registry,
      readiness,
      events,
    })
    server = await startServer(plane, options)
  } catch (error) {
    await release()
    throw error
  }
  events.listening({ what: 'gateway', address: options.host, port: server.port })
  phase = 'ready'

  const running = server
  followed.onEdit((edited) => {
    if (!edited.ok) {
      events.configRejected({ file: options.config, mistakes: format(edited.mistakes).split('\n') })
      return
    }
    try {
      const next = { ...compile(edited.config), generation: snapshots.current.generation + 1 }
      upstreams.apply(next)
      running.applyLimits(next.limits)
      snapshots.current = next
      announce(events, options.config, next)
    } catch (error) {
      // The snapshot in use still routes.
      events.bug({ where: 'config', error })
    }
  })

  let stopping: Promise<void> | undefined
  return {
    port: running.port,
    adminPort: admin.port,
    reopenLogs: telemetry.reopen,
    crashed: (error) => {
      events.bug({ where: 'process', error })
      telemetry.flushSync()
    },
    stop: (signal) => {
      stopping ??= stop(signal)
      return stopping
    },
  }

  async function stop(signal: string): Promise<void> {
    const { drain } = snapshots.current
    const { limitMs } = drain
    // A person at a terminal has no load balancer to wait for.
    const noticeMs = signal === 'SIGINT' ? 0 : drain.noticeMs
    const startedAt = clock.now()
    phase = 'draining'
    followed.close()
    events.drainStarted({ signal, noticeMs, limitMs })
    // The listener stays open until whoever balances the load has seen /readyz fail.
    await new Promise((resolve) => setTimeout(resolve, Math.min(noticeMs, limitMs)))
    const left = await running.close(Math.max(0, limitMs - (clock.now() - startedAt)))
    events.drainFinished({ inFlight: left, tookMs: Math.round(clock.now() - startedAt) })
    await release()
  }

  /** What was built is taken down in reverse. */
  async function release(): Promise<void> {
    followed.close()
    await admin?.close()
    await flags.stop()
    upstreams.close()
    await telemetry.close()
  }
}

/** unleash-client's own defaults. */
const UNLEASH_REFRESH_MS = 15_000
const UNLEASH_TIMEOUT_MS = 10_000

export function createFlags(
  options: Pick<Options, 'unleash' | 'flags' | 'stateDir'>,
  events: Events,
  clock: Clock,
): Flags {
  const { unleash } = options
  return unleash === undefined
    ? fileFlags({ file: options.flags, events, watch: watchFile, clock })
    : unleashFlags({
        ...unleash,
        instanceId: `${hostname()}-${process.pid}`,
        refreshMs: UNLEASH_REFRESH_MS,
        timeoutMs: UNLEASH_TIMEOUT_MS,
        stateDir: options.stateDir,
        events,
        clock,
      })
}

function announce(events: Events, file: string, snapshot: Snapshot): void {
  const { generation, contexts, routes } = snapshot
  events.configApplied({ file, generation, contexts: contexts.size, routes: routes.length })
}

function readings(upstreams: Upstreams, flags: Flags, server: ProxyServer | undefined) {
  const addresses = upstreams.readings()
  const { ageMs } = flags.status()
  return {
    requestsInFlight: server?.inFlight() ?? 0,
    flagAgeSeconds: ageMs === undefined ? undefined : ageMs / 1000,
    connections: addresses,
    addresses,
  }
}

/** A restart must know the cookies of before; where the folder cannot be written they last as long as the process. */
function keptSecret(stateDir: string, events: Events): string {
  const file = join(stateDir, 'cookie-secret')
  try {
    return readFileSync(file, 'utf8')
  } catch {
    const secret = createHash('sha256').update(randomBytes(32)).digest('base64url')
    try {
      mkdirSync(stateDir, { recursive: true, mode: 0o700 })
      writeFileSync(file, secret, { mode: 0o600, flag: 'wx' })
    } catch (error) {
      // Another gateway with the same folder was quicker: both must use its secret.
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return readFileSync(file, 'utf8')
      events.stateNotKept({ file, error })
    }
    return secret
  }
}
