// Composition root: the only file that sees both planes. Builds, starts and stops everything in order.
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { type Admin, type AdminAuth, type Readiness, startAdmin } from '../admin/http/server.ts'
import { createKeySets } from '../auth/jwks.ts'
import { ConfigError } from '../config/config-error.ts'
import { compile } from '../config/load/compile.ts'
import { followConfig } from '../config/load/follow.ts'
import { formatMistakes } from '../config/mistake.ts'
import type { Options } from '../config/options/options.ts'
import { identityTrustMistakes } from '../config/schema/identity-trust.ts'
import type { UsableConfig } from '../config/schema/validate.ts'
import type { FileRejection } from '../model/file-rejection.ts'
import type { Clock, Random } from '../model/ports.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { type ProxyServer, startServer } from '../proxy/downstream/server.ts'
import { createForward } from '../proxy/forward/forward.ts'
import type { DataPlane } from '../proxy/handle-request.ts'
import { createAnonymousIds } from '../proxy/policy/anonymous-id.ts'
import { createAuthenticate } from '../proxy/policy/authenticate.ts'
import { createIdentify } from '../proxy/policy/identify.ts'
import { sidesOf } from '../proxy/policy/sides-of.ts'
import { Upstreams } from '../proxy/upstream/upstreams.ts'
import { createShadowing, type RunningShadow } from '../shadow/create-shadowing.ts'
import { createReports } from '../shadow/report/reports.ts'
import { allRulings } from '../shadow/stats/rulings.ts'
import { createTelemetry } from '../telemetry/create-telemetry.ts'
import type { Events } from '../telemetry/events.ts'
import { type ControlPlane, createControlPlane } from './control-plane.ts'
import { explainWith } from './explain.ts'
import { openFilesLimit, systemClock, systemRandom } from './runtime.ts'

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
  /** Everything to legacy on this gateway alone, whoever cannot be reached. */
  readonly killHere: () => void
  /** The last words of a process that is about to die: why, and the log lines that were still waiting. */
  readonly crashed: (error: unknown) => void
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

  const snapshots: { current: Snapshot } = { current: { ...compile(followed.first.config), edition: 1 } }
  let server: ProxyServer | undefined
  let admin: Admin | undefined
  let shadow: RunningShadow | undefined
  let mapRejection: FileRejection | undefined
  let phase: Readiness['status'] = 'starting'

  const telemetry = createTelemetry({
    accessLog: options.accessLog,
    logLevel: options.logLevel,
    clock,
    readings: () => readings(upstreams, controlPlane, server, shadow),
  })
  const { events } = telemetry
  const upstreams = new Upstreams({ now: clock.now, events })
  let controlPlane: ControlPlane
  try {
    controlPlane = createControlPlane({
      options,
      clock,
      random,
      events,
      contexts: () => snapshots.current.contexts,
      mapRejection: () => mapRejection,
      upstreams: () => upstreams.outages(),
      publish: (controls, generation) => {
        snapshots.current = { ...snapshots.current, controls, generation }
      },
      traffic: {
        inFlight: () => server?.inFlightBySide() ?? {},
        sinceStart: telemetry.requestsBySide,
        serviceWrites: telemetry.serviceWrites,
      },
      address: () => options.adminUrl ?? addressOf(options.adminHost, admin?.port ?? options.adminPort),
    })
  } catch (error) {
    followed.close()
    await telemetry.close()
    throw error
  }
  upstreams.apply(snapshots.current)
  announce(events, options.config, snapshots.current, followed.first)
  const limit = openFilesLimit()
  const needed = openFilesOf(snapshots.current)
  if (limit !== undefined && limit < needed) events.openFilesLow({ limit, needed })
  const { flags, control, store, stateFolder } = controlPlane
  await controlPlane.start()

  const secret =
    options.cookieSecret ??
    keptSecret(options.stateDir, (file, error) => {
      events.stateNotKept({ file, error })
      stateFolder.failed(error)
    })
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
  const shadowing = createShadowing({
    writer: controlPlane.instance,
    store: store.comparisons,
    clock: { now: clock.now, wallTime: store.wallTime },
    dice: Math.random,
    events,
    limits: () => snapshots.current.shadowing,
  })
  shadow = shadowing
  // A ruling is known to the comparing thread as soon as it is on this gateway.
  shadowing.rule(allRulings(store.current()))
  const stopRuling = store.onChange((state) => shadowing.rule(allRulings(state)))
  const plane: DataPlane = {
    snapshots,
    flags,
    upstreams,
    identify,
    authenticate: createAuthenticate(clock, events),
    anonymousIds,
    forward,
    exchanges,
    shadowing,
    events,
    random,
    now: clock.now,
    viaName,
  }

  const readiness = (): Readiness => {
    const { source, ageMs, stale, isRefused } = flags.status()
    const { kind, isConnected, cutOffMs } = store.status()
    const { isWritable, code, since } = stateFolder.status()
    const { edition, generation, controls } = snapshots.current
    return {
      status: phase,
      edition,
      generation,
      killed: controls.isKilled,
      store: { kind, connected: isConnected, cutOffSeconds: Math.round(cutOffMs / 1000) },
      stateFolder: { writable: isWritable, code: code ?? null, since: since ?? null },
      flags: { source, ageSeconds: ageMs === undefined ? null : Math.round(ageMs / 1000), stale, refused: isRefused },
      upstreams: upstreams.summary(),
      rejectedFiles: controlPlane.rejectedFiles(),
    }
  }
  try {
    admin = await startAdmin({
      host: options.adminHost,
      port: options.adminPort,
      allowedHosts: options.adminNames,
      trustedProxies: options.adminTrustedProxies,
      registry: telemetry.registry,
      metricsMaxAgeMs: options.metricsCacheMs,
      metricsToken: options.metricsToken,
      readiness,
      events,
      api: {
        control,
        comparisons: createReports({
          store: store.comparisons,
          state: store.current,
          contexts: () => [...snapshots.current.contexts.keys()],
          wallTime: store.wallTime,
          sidesOf: (context, request) => sidesOf(snapshots.current, context, request),
        }),
        explain: async (asked) => explainWith({ snapshot: snapshots.current, flags, health: upstreams }, asked),
        auth: adminAuth(options, clock, events),
        clock,
        requireReason: options.requireReason,
      },
    })
    server = await startServer(plane, options)
  } catch (error) {
    await release()
    throw error
  }
  events.listening({ what: 'gateway', address: options.host, port: server.port })
  phase = 'ready'
  control.join()

  const running = server
  followed.onEdit((edited) => {
    if (!edited.ok) {
      const mistakes = formatMistakes(edited.mistakes).split('\n')
      rejectMap(mistakes[0] ?? '')
      events.configRejected({ file: options.config, mistakes })
      return
    }
    try {
      const { edition, generation, controls } = snapshots.current
      const next = { ...compile(edited.config), edition: edition + 1, generation, controls }
      upstreams.apply(next)
      running.applyLimits(next.limits)
      snapshots.current = next
      mapRejection = undefined
      announce(events, options.config, next, edited)
    } catch (error) {
      // The snapshot in use still routes.
      rejectMap('the gateway failed to apply it: see its log')
      events.bug({ where: 'config', error })
    }
  })

  function rejectMap(mistake: string): void {
    const since = mapRejection?.since ?? clock.wallTime()
    mapRejection = { file: 'map', path: options.config, since, mistake }
  }

  let stopping: Promise<void> | undefined
  return {
    port: running.port,
    adminPort: admin.port,
    reopenLogs: telemetry.reopen,
    killHere: control.killHere,
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
    const adminStreams = admin?.endStreams() ?? 0
    const { left, eventStreams } = await running.close(Math.max(0, limitMs - (clock.now() - startedAt)))
    events.drainFinished({ inFlight: left, eventStreams, adminStreams, tookMs: Math.round(clock.now() - startedAt) })
    await release()
  }

  /** What was built is taken down in reverse. */
  async function release(): Promise<void> {
    followed.close()
    await admin?.close()
    stopRuling()
    await shadow?.stop()
    await controlPlane.stop()
    upstreams.close()
    await telemetry.close()
  }
}

/** For logs, the store, health checks, the admin port and the runtime itself. */
const OTHER_FILES = 100

/** The open files that the connections of a map can need. */
function openFilesOf({ limits, legacy, services }: Snapshot): number {
  const upstreams = [legacy, ...services.values()]
  const toUpstreams = upstreams.reduce((sum, { urls, connections }) => sum + urls.length * connections, 0)
  return limits.connections + toUpstreams + OTHER_FILES
}

function announce(events: Events, file: string, snapshot: Snapshot, { config, warnings }: UsableConfig): void {
  const { edition, contexts, routes } = snapshot
  events.configApplied({ file, edition, contexts: contexts.size, routes: routes.length })
  if (warnings.length > 0) events.configWarned({ file, warnings: warnings.map((warning) => formatMistakes([warning])) })
  const mistakes = identityTrustMistakes(config)
  if (mistakes.length > 0)
    events.configDeprecated({ file, mistakes: mistakes.map((mistake) => formatMistakes([mistake])) })
}

function readings(
  upstreams: Upstreams,
  { flags, store, stateFolder, rejectedFiles }: ControlPlane,
  server: ProxyServer | undefined,
  shadow: RunningShadow | undefined,
) {
  const addresses = upstreams.readings()
  const { ageMs, isRefused } = flags.status()
  return {
    requestsInFlight: server?.inFlight() ?? 0,
    flagAgeSeconds: ageMs === undefined ? undefined : ageMs / 1000,
    isTokenRefused: isRefused,
    storeCutOffSeconds: store.status().cutOffMs / 1000,
    rejectedFiles: rejectedFiles().map(({ file }) => file),
    isStateFolderWritable: stateFolder.status().isWritable,
    connections: addresses,
    addresses,
    shadow: shadow?.readings(),
  }
}

function adminAuth(options: Options, { now }: Clock, events: Events): AdminAuth {
  const { stateDir, adminToken: token, adminJwt: jwt } = options
  return { stateDir, token, jwt, findKey: createKeySets({ now, events }).find }
}

/** Whoever listens everywhere is reached by name. */
function addressOf(host: string, port: number): string {
  const reached = host === '0.0.0.0' || host === '::' ? hostname() : host
  return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}`
}

/** A restart must know the cookies of before; where the folder cannot be written they last as long as the process. */
function keptSecret(stateDir: string, onFailed: (file: string, error: unknown) => void): string {
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
      onFailed(file, error)
    }
    return secret
  }
}
