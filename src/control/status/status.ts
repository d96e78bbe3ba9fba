// The status of the contexts, of this gateway, and of the fleet as far as it can be reached.
import type { FileRejection } from '../../model/file-rejection.ts'
import type { Context } from '../../model/route.ts'
import type { StateFolderStatus } from '../../model/state-folder.ts'
import type { StateStore } from '../../model/state-store.ts'
import type { UpstreamReading } from '../../model/upstream-reading.ts'
import type { StatusView } from '../control.ts'
import type { FlagAuthority } from '../flags/flag-authority.ts'
import type { FleetMembers } from '../fleet/fleet-members.ts'
import type { OwnHeartbeat } from '../fleet/own-heartbeat.ts'
import type { LocalKill } from '../local-kill.ts'
import { viewContext, viewUpstream } from './context-view.ts'

export type StatusOptions = {
  readonly store: StateStore
  readonly authority: FlagAuthority
  readonly contexts: () => ReadonlyMap<string, Context>
  /** The map and the flags file on disk, where their content was rejected. */
  readonly rejectedFiles: () => readonly FileRejection[]
  readonly stateFolder: () => StateFolderStatus
  /** The upstreams of this gateway, with their unavailable addresses. */
  readonly upstreams: () => readonly UpstreamReading[]
  readonly heartbeat: OwnHeartbeat
  readonly members: FleetMembers
  readonly localKill: Pick<LocalKill, 'names' | 'problems'>
}

export async function readStatus(options: StatusOptions): Promise<StatusView> {
  const { store, authority, contexts, heartbeat, members, localKill } = options
  const state = await store.read().catch(() => store.current())
  const fleet = await members.view()
  const upstreams = options.upstreams()
  const now = store.wallTime()
  const input = { state, members: fleet.members, authority, localKill: localKill.names, upstreams, now }
  return {
    gateway: heartbeat.report().id,
    generation: state.generation,
    kill: state.kill,
    localKill: localKill.names,
    killFileProblems: localKill.problems,
    rejectedFiles: options.rejectedFiles(),
    legacy: viewUpstream(
      upstreams.find(({ side }) => side === 'legacy'),
      now,
    ),
    store: store.status(),
    stateFolder: options.stateFolder(),
    flags: authority.flags.status(),
    contexts: [...contexts().values()].map((context) => viewContext(context, input)),
    fleet,
  }
}
