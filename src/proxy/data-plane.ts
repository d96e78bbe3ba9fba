// The parts of the data plane that a request uses.
import type { Outcome } from '../model/outcome.ts'
import type { FlagReader, Random, SnapshotSource } from '../model/ports.ts'
import type { Shadowing } from '../model/shadow.ts'
import type { Events } from '../telemetry/events.ts'
import type { Exchange } from './forward/exchange.ts'
import type { Forwarding } from './forward/forwarding.ts'
import type { AnonymousIds } from './policy/anonymous-id.ts'
import type { Authenticate } from './policy/authenticate.ts'
import type { Identify } from './policy/identify.ts'
import type { Upstreams } from './upstream/upstreams.ts'

/** Built once per gateway; immutable apart from the state inside its parts. */
export type DataPlane = {
  readonly snapshots: SnapshotSource
  readonly flags: FlagReader
  readonly upstreams: Upstreams
  readonly identify: Identify
  readonly authenticate: Authenticate
  readonly anonymousIds: AnonymousIds
  readonly forward: (forwarding: Forwarding) => Promise<Outcome>
  readonly exchanges: ReadonlySet<Exchange>
  readonly shadowing: Shadowing
  readonly events: Events
  readonly random: Random
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** The name of this gateway in `Via` and `CDN-Loop`. */
  readonly viaName: string
}
