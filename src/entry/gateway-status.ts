// The state of a gateway as its admin listener reports it: readiness, and the gauges of a scrape.
import type { Readiness } from '../admin/http/services.ts'
import type { Snapshot } from '../model/snapshot.ts'
import type { ProxyServer } from '../proxy/downstream/server.ts'
import type { Upstreams } from '../proxy/upstream/upstreams.ts'
import type { GatewayShadowing } from '../shadow/gateway-shadowing.ts'
import type { ControlPlane } from './control-plane.ts'

/** The parts of a gateway that report their state. A part is undefined until it has started. */
export type GatewayParts = {
  readonly snapshot: Snapshot
  readonly upstreams: Upstreams
  readonly controlPlane: ControlPlane
  readonly server: ProxyServer | undefined
  readonly shadowing: GatewayShadowing | undefined
}

/** The body of `/readyz`. */
export function readReadiness(status: Readiness['status'], parts: GatewayParts): Readiness {
  const { snapshot, upstreams, controlPlane } = parts
  const { source, ageMs, stale, isRefused } = controlPlane.flags.status()
  const { kind, isConnected, cutOffMs } = controlPlane.store.status()
  const { isWritable, code, since } = controlPlane.stateFolder.status()
  return {
    status,
    edition: snapshot.edition,
    generation: snapshot.generation,
    killed: snapshot.controls.isKilled,
    store: { kind, connected: isConnected, cutOffSeconds: Math.round(cutOffMs / 1000) },
    stateFolder: { writable: isWritable, code: code ?? null, since: since ?? null },
    flags: { source, ageSeconds: ageMs === undefined ? null : Math.round(ageMs / 1000), stale, refused: isRefused },
    upstreams: upstreams.summary(),
    rejectedFiles: controlPlane.rejectedFiles(),
  }
}

/** The gauges that are read when metrics are collected. */
export function readGauges({ upstreams, controlPlane, server, shadowing }: GatewayParts) {
  const addresses = upstreams.readings()
  const { ageMs, isRefused } = controlPlane.flags.status()
  return {
    requestsInFlight: server?.inFlight() ?? 0,
    flagAgeSeconds: ageMs === undefined ? undefined : ageMs / 1000,
    isTokenRefused: isRefused,
    storeCutOffSeconds: controlPlane.store.status().cutOffMs / 1000,
    rejectedFiles: controlPlane.rejectedFiles().map(({ file }) => file),
    isStateFolderWritable: controlPlane.stateFolder.status().isWritable,
    connections: addresses,
    addresses,
    shadow: shadowing?.readings(),
  }
}
