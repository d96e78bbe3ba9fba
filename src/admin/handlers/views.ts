// How things stand: status, contexts, the kill switch, the fleet, and why a request goes where it goes.
import type { StatusView } from '../../control/control.ts'
import type {
  contextsView,
  contextView,
  ExplainAsked,
  explained,
  fleetView,
  killSwitch,
  Said,
  statusView,
} from '../contract/contract.ts'
import { etag } from '../http/if-match.ts'
import { Refusal } from '../http/problem.ts'
import type { Call, Reply } from '../http/route.ts'

export async function showStatus({ control }: Call<unknown>): Promise<Reply<Said<typeof statusView>>> {
  return { body: written(await control.status()) }
}

export async function showContexts({ control }: Call<unknown>): Promise<Reply<Said<typeof contextsView>>> {
  const { contexts } = await control.status()
  return { body: { contexts } }
}

export async function showContext({ control, id }: Call<unknown>): Promise<Reply<Said<typeof contextView>> | Refusal> {
  const context = await control.context(id)
  if (context === undefined) return unknownContext({ control })
  return { body: context, headers: { ETag: etag(context.generation) } }
}

export async function unknownContext({ control }: Pick<Call<unknown>, 'control'>): Promise<Refusal> {
  const known = (await control.status()).contexts.map(({ name }) => name)
  return new Refusal('unknown-context', `there are ${known.join(', ') || 'none'}`, { known })
}

export async function showKillSwitch({ control }: Call<unknown>): Promise<Reply<Said<typeof killSwitch>>> {
  const { kill, localKill, generation } = await control.status()
  return { body: { kill, localKill, generation }, headers: { ETag: etag(generation) } }
}

export async function showFleet({ control }: Call<unknown>): Promise<Reply<Said<typeof fleetView>>> {
  return { body: await control.fleet() }
}

export async function explain({ explain, input }: Call<ExplainAsked>): Promise<Reply<Said<typeof explained>>> {
  return { body: await explain({ ...input, method: input.method.toUpperCase(), host: input.host.toLowerCase() }) }
}

/** JSON has no undefined: absent values are null. A rejected flags file is in `rejectedFiles`. */
function written({
  store,
  stateFolder,
  flags: { rejection: _, ...flags },
  ...view
}: StatusView): Said<typeof statusView> {
  const { location, isWritable, trouble, since, openMode } = stateFolder
  return {
    ...view,
    store: {
      ...store,
      trouble: store.trouble ?? null,
      restored: store.restored ?? null,
      folderLost: store.folderLost ?? null,
    },
    stateFolder: { location, isWritable, trouble: trouble ?? null, since: since ?? null, openMode: openMode ?? null },
    flags: { ...flags, ageMs: flags.ageMs ?? null, trouble: flags.trouble ?? null },
  }
}
