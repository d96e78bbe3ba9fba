// Handlers that show the state: status, contexts, kill switch, fleet, and the explanation of a decision.
import type { StatusView } from '../../control/control.ts'
import type { contextResponse, contextsResponse, killSwitchResponse } from '../contract/contexts.ts'
import type { ExplainRequest, explanation } from '../contract/explanation.ts'
import type { fleetResponse } from '../contract/fleet-response.ts'
import type { ResponseOf } from '../contract/schema-types.ts'
import type { statusResponse } from '../contract/status.ts'
import type { Call, Reply } from '../http/api-route.ts'
import { etag } from '../http/if-match.ts'
import { ApiRefusal } from '../http/problem.ts'

export async function showStatus({ control }: Call<unknown>): Promise<Reply<ResponseOf<typeof statusResponse>>> {
  return { body: toStatusResponse(await control.status()) }
}

export async function showContexts({ control }: Call<unknown>): Promise<Reply<ResponseOf<typeof contextsResponse>>> {
  const { contexts } = await control.status()
  return { body: { contexts } }
}

export async function showContext({
  control,
  id,
}: Call<unknown>): Promise<Reply<ResponseOf<typeof contextResponse>> | ApiRefusal> {
  const context = await control.context(id)
  if (context === undefined) return unknownContext({ control })
  return { body: context, headers: { ETag: etag(context.generation) } }
}

export async function unknownContext({ control }: Pick<Call<unknown>, 'control'>): Promise<ApiRefusal> {
  const names = (await control.status()).contexts.map(({ name }) => name)
  return new ApiRefusal('unknown-context', `the contexts are ${names.join(', ') || '(none)'}`, { known: names })
}

export async function showKillSwitch({
  control,
}: Call<unknown>): Promise<Reply<ResponseOf<typeof killSwitchResponse>>> {
  const { kill, localKill, generation } = await control.status()
  return { body: { kill, localKill, generation }, headers: { ETag: etag(generation) } }
}

export async function showFleet({ control }: Call<unknown>): Promise<Reply<ResponseOf<typeof fleetResponse>>> {
  return { body: await control.fleet() }
}

export async function explain({
  explain,
  input,
}: Call<ExplainRequest>): Promise<Reply<ResponseOf<typeof explanation>>> {
  return { body: await explain({ ...input, method: input.method.toUpperCase(), host: input.host.toLowerCase() }) }
}

/** JSON has no undefined, so absent values become null. A rejected flags file is in `rejectedFiles`, not in `flags`. */
function toStatusResponse({
  store,
  stateFolder,
  flags: { rejection: _, ...flags },
  ...view
}: StatusView): ResponseOf<typeof statusResponse> {
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
