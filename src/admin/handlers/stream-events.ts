// Opens a stream of changes.

import type { Call, Stream } from '../http/api-route.ts'
import type { ApiRefusal } from '../http/problem.ts'

export async function streamEvents({
  streams,
  actor,
  changeRequest: order,
  lastEventId,
}: Call<unknown>): Promise<Stream | ApiRefusal> {
  return streams.open({
    lastId: lastEventId,
    until: actor.expiresAt,
    name: actor.name,
    address: order.address ?? 'unknown',
  })
}
