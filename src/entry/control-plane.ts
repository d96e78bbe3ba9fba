// Composition root of the control plane of one gateway: its state folder, its store, its flags, and the changes of both.
import { hostname } from 'node:os'
import type { Options } from '../config/options/options.ts'
import { AuditRecorder } from '../control/audit/audit-recorder.ts'
import type { FlagAuthority } from '../control/flags/flag-authority.ts'
import type { Flags } from '../control/flags/flags.ts'
import { GatewayControl, type GatewayControlOptions } from '../control/gateway-control.ts'
import { replaceFile } from '../lib/replace-file.ts'
import type { FileRejection } from '../model/file-rejection.ts'
import type { Random } from '../model/ports.ts'
import type { Store } from '../model/store.ts'
import { loadGatewayId } from '../store/gateway-id.ts'
import { StateFolderMonitor } from '../store/state-folder-monitor.ts'
import { createAuthority } from './create-flags.ts'
import { createStore } from './create-store.ts'
import { version } from './version.ts'

type ControlPlaneOptions = Pick<
  GatewayControlOptions,
  'clock' | 'events' | 'contexts' | 'publish' | 'traffic' | 'upstreams'
> & {
  readonly options: Pick<Options, 'flags' | 'stateDir' | 'unleash' | 'redis' | 'name' | 'forgetAfterMs'>
  readonly random: Random
  /** The map on disk, if its content was rejected. */
  readonly mapRejection: () => FileRejection | undefined
  /** The address of the admin API for other gateways. */
  readonly address: () => string
}

export class ControlPlane {
  /** This gateway: its name, or an id that its state folder keeps. */
  readonly id: string
  /** This process, new with each start. */
  readonly instance: string
  readonly control: GatewayControl
  readonly flags: Flags
  readonly store: Store
  readonly stateFolder: StateFolderMonitor
  readonly #options: ControlPlaneOptions
  readonly #authority: FlagAuthority

  /** @throws {ConfigError} if the URL of Redis is not valid */
  constructor(plane: ControlPlaneOptions) {
    this.#options = plane
    const { options, clock, random, events, contexts } = plane
    const { stateDir, name } = options
    this.instance = `${hostname()}-${random.hex(4)}`
    this.stateFolder = this.#monitorStateFolder()
    this.id = name ?? loadGatewayId(stateDir, this.instance, (error) => this.#idNotKept(error))
    const { id, stateFolder } = this
    const isNamed = name !== undefined
    const onReached = () => this.#authority.retry()
    this.store = createStore({ ...options, id, isNamed, clock, events, stateFolder, onReached })
    const shared = { store: this.store, clock, events, contexts }
    const recorder = new AuditRecorder({ ...shared, gateway: id })
    const onBackupFailed = (error: unknown) => stateFolder.reportFailure(error)
    this.#authority = createAuthority({ ...options, ...shared, recorder, gateway: id, onBackupFailed })
    this.flags = this.#authority.flags
    this.control = new GatewayControl({
      ...plane,
      ...shared,
      authority: this.#authority,
      recorder,
      stateDir,
      replaceFile: (path, text) => stateFolder.write(() => replaceFile(path, text)),
      stateFolder: () => stateFolder.status(),
      rejectedFiles: () => this.rejectedFiles(),
      self: { id, instance: this.instance, version: version(), startedAt: clock.wallTime(), address: plane.address },
    })
  }

  /** Resolves when requests may come, whether or not the store and the flags could be reached. Never rejects. */
  async start(): Promise<void> {
    await this.store.start()
    const { openMode: mode } = this.stateFolder.status()
    const { options, events } = this.#options
    if (mode !== undefined) events.stateFolderOpen({ folder: options.stateDir, mode })
    await this.#authority.start()
    await this.control.start()
  }

  async stop(): Promise<void> {
    // Changes made outside are recorded until the recorder of the control plane stops.
    await this.#authority.stop()
    await this.control.stop()
    await this.store.close()
    this.stateFolder.close()
  }

  /** The map and the flags file on disk, where their content was rejected. */
  rejectedFiles(): readonly FileRejection[] {
    const rejections = [this.#options.mapRejection(), this.flags.status().rejection]
    return rejections.filter((rejection) => rejection !== undefined)
  }

  #monitorStateFolder(): StateFolderMonitor {
    const { options, clock, events } = this.#options
    const folder = options.stateDir
    return new StateFolderMonitor({
      folder,
      clock,
      onFailed: (error) => events.stateFolderFailed({ folder, error }),
      onRecovered: (afterMs) => events.stateFolderRecovered({ folder, afterMs }),
    })
  }

  #idNotKept(error: Error): void {
    const { options, events } = this.#options
    events.storeFailed({ location: options.stateDir, error })
    this.stateFolder.reportFailure(error)
  }
}
