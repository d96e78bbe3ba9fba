// Builds the data plane: everything that one request needs, from its identity to its response.
import type { Clock, FlagReader, Random, SnapshotSource } from '../model/ports.ts'
import type { Shadowing } from '../model/shadow.ts'
import type { DataPlane } from '../proxy/data-plane.ts'
import { createForward } from '../proxy/forward/forward.ts'
import { createAnonymousIds } from '../proxy/policy/anonymous-id.ts'
import { createAuthenticate } from '../proxy/policy/authenticate.ts'
import { createIdentify } from '../proxy/policy/identify.ts'
import type { Upstreams } from '../proxy/upstream/upstreams.ts'
import type { Events } from '../telemetry/events.ts'

type DataPlaneOptions = {
  readonly snapshots: SnapshotSource
  readonly flags: FlagReader
  readonly upstreams: Upstreams
  readonly shadowing: Shadowing
  readonly events: Events
  readonly clock: Clock
  readonly random: Random
  /** The key that signs anonymous ids. */
  readonly cookieSecret: string
  readonly isDraining: () => boolean
}

export function createDataPlane(options: DataPlaneOptions): DataPlane {
  const { snapshots, flags, upstreams, shadowing, events, clock, random, isDraining } = options
  const anonymousIds = createAnonymousIds(options.cookieSecret, random)
  // Unlike the name of any other gateway, so that a request which comes back to this one is recognised as a loop.
  const viaName = `strangler-${random.hex(4)}`
  const { forward, exchanges } = createForward({ upstreams, anonymousIds, now: clock.now, viaName, isDraining })
  return {
    snapshots,
    flags,
    upstreams,
    identify: createIdentify(anonymousIds, random),
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
}
