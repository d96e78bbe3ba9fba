// Changes as they happen.
import type { Refusal } from '../http/problem.ts'
import type { Call, Stream } from '../http/route.ts'

export async function watch({ streams, actor, order, lastEventId }: Call<unknown>): Promise<Stream | Refusal> {
  return streams.open({
    lastId: lastEventId,
    until: actor.expiresAt,
    name: actor.name,
    address: order.address ?? 'unknown',
  })
}
