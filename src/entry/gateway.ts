// Composition root of a gateway: builds both planes, starts and stops them in order, and applies edits of the map.
import { hostname } from 'node:os'
import { type Admin, type AdminOptions, startAdmin } from '../admin/http/admin-server.ts'
import type { Readiness } from '../admin/http/services.ts'
import { KeySets } from '../auth/key-sets.ts'
import { ConfigError } from '../config/config-error.ts'
import { compile } from '../config/load/compile.ts'
import { type FollowedConfig, followConfig } from '../config/load/follow.ts'
import { formatMistakes } from '../config/mistake.ts'
import type { Options } from '../config/options/options.ts'
import { identityTrustMistakes } from '../config/schema/identity-trust.ts'
import type { ValidatedConfig, ValidationResult } from '../config/schema/validate.ts'
import { sleep } from '../lib/timeout.ts'
import type { FileRejection } from '../model/file-rejection.ts'
import type { Clock, Random } from '../model/ports.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { type ProxyServer, startServer } from '../proxy/downstream/server.ts'
import { sidesOf } from '../proxy/policy/sides-of.ts'
import { Upstreams } from '../proxy/upstream/upstreams.ts'
import { GatewayShadowing } from '../shadow/gateway-shadowing.ts'
import { ComparisonReports } from '../shadow/report/comparison-reports.ts'
import { allRulings } from '../shadow/stats/rulings.ts'
import { createTelemetry, type Telemetry } from '../telemetry/create-telemetry.ts'
import type { Events } from '../telemetry/events.ts'
import { ControlPlane } from './control-plane.ts'
import { loadCookieSecret } from './cookie-secret.ts'
import { createDataPlane } from './data-plane.ts'
import { explainWith } from './explain.ts'
import { type GatewayParts, readGauges, readReadiness } from './gateway-status.ts'
import { openFilesLimit, systemClock, systemRandom } from './runtime.ts'

export type GatewayOptions = Options & {
  readonly clock?: Clock
  readonly random?: Random
}

/**
 * Starts a gateway.
 *
 * @throws {ConfigError} if the config cannot be used
 * @throws NodeJS.ErrnoException with code EADDRINUSE or EACCES if a port is not available
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const map = await followConfig(options.config)
  if (!map.first.ok) {
    map.close()
    throw new ConfigError(options.config, map.first.mistakes)
  }
  const gateway = new Gateway(options, map, map.first)
  try {
    await gateway.start()
  } catch (error) {
    await gateway.release()
    throw error
  }
  return gateway
}

/** A gateway in this process: a listener for clients, an admin listener, and both planes behind them. */
export class Gateway {
  readonly #options: GatewayOptions
  readonly #clock: Clock
  readonly #random: Random
  readonly #map: FollowedConfig
  readonly #first: ValidatedConfig
  readonly #telemetry: Telemetry
  readonly #events: Events
  readonly #upstreams: Upstreams
  /** One object for the life of the gateway, whose snapshot is replaced: a request reads `current` once. */
  readonly #snapshots: { current: Snapshot }
  #phase: Readiness['status'] = 'starting'
  #mapRejection: FileRejection | undefined
  #controlPlane: ControlPlane | undefined
  #shadowing: GatewayShadowing | undefined
  #stopRulings: (() => void) | undefined
  #admin: Admin | undefined
  #server: ProxyServer | undefined
  #stopped: Promise<void> | undefined

  /** @param first the config with which the gateway starts */
  constructor(options: GatewayOptions, map: FollowedConfig, first: ValidatedConfig) {
    const { clock = systemClock, random = systemRandom(), accessLog, logLevel } = options
    this.#options = options
    this.#clock = clock
    this.#random = random
    this.#map = map
    this.#first = first
    this.#snapshots = { current: compile(first.config) }
    this.#telemetry = createTelemetry({ accessLog, logLevel, clock, readings: () => readGauges(this.#parts()) })
    this.#events = this.#telemetry.events
    this.#upstreams = new Upstreams({ now: clock.now, events: this.#events })
  }

  /** The port for clients. */
  get port(): number {
    return this.#server?.port ?? 0
  }

  get adminPort(): number {
    return this.#admin?.port ?? 0
  }

  /** Starts the control plane, then the data plane, then the listeners, and then follows the map. */
  async start(): Promise<void> {
    const controlPlane = this.#createControlPlane()
    this.#controlPlane = controlPlane
    this.#upstreams.apply(this.#snapshots.current)
    this.#announce(this.#snapshots.current, this.#first)
    await controlPlane.start()
    const shadowing = this.#createShadowing(controlPlane)
    this.#shadowing = shadowing
    const plane = createDataPlane({
      snapshots: this.#snapshots,
      flags: controlPlane.flags,
      upstreams: this.#upstreams,
      shadowing,
      events: this.#events,
      clock: this.#clock,
      random: this.#random,
      cookieSecret: this.#options.cookieSecret ?? this.#loadCookieSecret(controlPlane),
      isDraining: () => this.#phase === 'draining',
    })
    this.#admin = await startAdmin(this.#adminOptions(controlPlane))
    const server = await startServer(plane, this.#options)
    this.#server = server
    this.#events.listening({ what: 'gateway', address: this.#options.host, port: server.port })
    this.#phase = 'ready'
    controlPlane.control.join()
    this.#map.onEdit((edited) => this.#applyEdit(edited, server))
  }

  /** Drains and stops; a second call returns the promise of the first. @param signal the cause, for the log */
  stop(signal: string): Promise<void> {
    this.#stopped ??= this.#drain(signal).then(() => this.release())
    return this.#stopped
  }

  /** Closes everything that has started, in reverse order, without draining. */
  async release(): Promise<void> {
    this.#map.close()
    await this.#admin?.close()
    this.#stopRulings?.()
    await this.#shadowing?.stop()
    await this.#controlPlane?.stop()
    this.#upstreams.close()
    await this.#telemetry.close()
  }

  /** Opens the log files again, after a rotation. */
  reopenLogs(): void {
    this.#telemetry.reopen()
  }

  /** Sends every request to legacy, on this gateway alone; needs no store and no Unleash. */
  killHere(): void {
    this.#controlPlane?.control.killHere()
  }

  /** Logs the error and writes all log lines that are still buffered: the process is about to exit. */
  reportCrash(error: unknown): void {
    this.#events.bug({ where: 'process', error })
    this.#telemetry.flushSync()
  }

  #parts(): GatewayParts {
    return {
      snapshot: this.#snapshots.current,
      upstreams: this.#upstreams,
      // The listeners that ask for the parts start after the control plane.
      controlPlane: this.#controlPlane as ControlPlane,
      server: this.#server,
      shadowing: this.#shadowing,
    }
  }

  #createControlPlane(): ControlPlane {
    const { adminUrl, adminHost, adminPort } = this.#options
    return new ControlPlane({
      options: this.#options,
      clock: this.#clock,
      random: this.#random,
      events: this.#events,
      contexts: () => this.#snapshots.current.contexts,
      mapRejection: () => this.#mapRejection,
      upstreams: () => this.#upstreams.outages(),
      publish: (controls, generation) => {
        this.#snapshots.current = { ...this.#snapshots.current, controls, generation }
      },
      traffic: {
        inFlight: () => this.#server?.inFlightBySide() ?? {},
        sinceStart: this.#telemetry.requestsBySide,
        serviceWrites: this.#telemetry.serviceWrites,
      },
      address: () => adminUrl ?? adminAddress(adminHost, this.#admin?.port ?? adminPort),
    })
  }

  #loadCookieSecret({ stateFolder }: ControlPlane): string {
    return loadCookieSecret(this.#options.stateDir, (file, error) => {
      this.#events.stateNotSaved({ file, error })
      stateFolder.reportFailure(error)
    })
  }

  #createShadowing({ instance, store }: ControlPlane): GatewayShadowing {
    const shadowing = new GatewayShadowing({
      writer: instance,
      store: store.comparisons,
      clock: { now: this.#clock.now, wallTime: () => store.wallTime() },
      random: Math.random,
      events: this.#events,
      limits: () => this.#snapshots.current.shadowing,
    })
    // The comparing thread receives a ruling as soon as this gateway has it.
    shadowing.setRulings(allRulings(store.current()))
    this.#stopRulings = store.onChange((state) => shadowing.setRulings(allRulings(state)))
    return shadowing
  }

  #adminOptions({ control, store, flags }: ControlPlane): AdminOptions {
    const options = this.#options
    const keySets = new KeySets({ now: this.#clock.now, events: this.#events })
    const findKey = keySets.find.bind(keySets)
    return {
      host: options.adminHost,
      port: options.adminPort,
      allowedHosts: options.adminNames,
      trustedProxies: options.adminTrustedProxies,
      registry: this.#telemetry.registry,
      metricsMaxAgeMs: options.metricsCacheMs,
      metricsToken: options.metricsToken,
      readiness: () => readReadiness(this.#phase, this.#parts()),
      events: this.#events,
      api: {
        control,
        comparisons: new ComparisonReports({
          store: store.comparisons,
          state: () => store.current(),
          contexts: () => [...this.#snapshots.current.contexts.keys()],
          wallTime: () => store.wallTime(),
          sidesOf: (context, request) => sidesOf(this.#snapshots.current, context, request),
        }),
        explain: async (request) =>
          explainWith({ snapshot: this.#snapshots.current, flags, health: this.#upstreams }, request),
        auth: { stateDir: options.stateDir, token: options.adminToken, jwt: options.adminJwt, findKey },
        clock: this.#clock,
        requireReason: options.requireReason,
      },
    }
  }

  /** Applies an edited map to new requests. A map with mistakes is rejected: the last good one stays in force. */
  #applyEdit(edited: ValidationResult, server: ProxyServer): void {
    if (!edited.ok) {
      const mistakes = formatMistakes(edited.mistakes).split('\n')
      this.#rejectMap(mistakes[0] ?? '')
      this.#events.configRejected({ file: this.#options.config, mistakes })
      return
    }
    try {
      const { edition, generation, controls } = this.#snapshots.current
      const next = { ...compile(edited.config), edition: edition + 1, generation, controls }
      this.#upstreams.apply(next)
      server.applyLimits(next.limits)
      this.#snapshots.current = next
      this.#mapRejection = undefined
      this.#announce(next, edited)
    } catch (error) {
      // The snapshot in use still routes.
      this.#rejectMap('the gateway failed to apply it: see its log')
      this.#events.bug({ where: 'config', error })
    }
  }

  #rejectMap(mistake: string): void {
    const since = this.#mapRejection?.since ?? this.#clock.wallTime()
    this.#mapRejection = { file: 'map', path: this.#options.config, since, mistake }
  }

  /** Logs that a config is in force, with its warnings. */
  #announce(snapshot: Snapshot, { config, warnings }: ValidatedConfig): void {
    const file = this.#options.config
    const { edition, contexts, routes } = snapshot
    this.#events.configApplied({ file, edition, contexts: contexts.size, routes: routes.length })
    const lines = warnings.map((warning) => formatMistakes([warning]))
    if (lines.length > 0) this.#events.configWarned({ file, warnings: lines })
    const mistakes = identityTrustMistakes(config).map((mistake) => formatMistakes([mistake]))
    if (mistakes.length > 0) this.#events.configDeprecated({ file, mistakes })
    const limit = openFilesLimit()
    const needed = openFilesNeeded(snapshot)
    if (edition === 1 && limit !== undefined && limit < needed) this.#events.openFilesLow({ limit, needed })
  }

  async #drain(signal: string): Promise<void> {
    const { drain } = this.#snapshots.current
    const { limitMs } = drain
    // An operator at a terminal (SIGINT) has no load balancer to wait for.
    const noticeMs = signal === 'SIGINT' ? 0 : drain.noticeMs
    const startedAt = this.#clock.now()
    this.#phase = 'draining'
    this.#map.close()
    this.#events.drainStarted({ signal, noticeMs, limitMs })
    // The listener stays open until the load balancer has seen /readyz fail.
    await sleep(Math.min(noticeMs, limitMs))
    const adminStreams = this.#admin?.endStreams() ?? 0
    const remainingMs = Math.max(0, limitMs - (this.#clock.now() - startedAt))
    const { left = 0, eventStreams = 0 } = (await this.#server?.close(remainingMs)) ?? {}
    const tookMs = Math.round(this.#clock.now() - startedAt)
    this.#events.drainFinished({ inFlight: left, eventStreams, adminStreams, tookMs })
  }
}

/** Open files of logs, the store, health checks, the admin listener and the runtime itself. */
const OTHER_OPEN_FILES = 100

/** The most files and sockets that the connections of a map can keep open. */
function openFilesNeeded({ limits, legacy, services }: Snapshot): number {
  const upstreams = [legacy, ...services.values()]
  const toUpstreams = upstreams.reduce((sum, { urls, connections }) => sum + urls.length * connections, 0)
  return limits.connections + toUpstreams + OTHER_OPEN_FILES
}

/** The URL of the admin listener for other gateways: a wildcard bind address is advertised as the host name. */
function adminAddress(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? hostname() : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}
