// The headers that tell the application who the client is, as they tell a service behind the gateway.
import type { IncomingMessage } from 'node:http'
import type { Identity } from '../../model/decision.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { toFieldObject, userFields } from '../../proxy/forward/headers.ts'

/** Removes what the client states in these headers, and sets the verified identity. */
export function setIdentityHeaders(request: IncomingMessage, identity: Identity, snapshot: Snapshot): void {
  removeIdentityHeaders(request, snapshot)
  if (identity.kind !== 'user') return
  Object.assign(request.headers, toFieldObject(userFields(identity, snapshot.identity.user?.header)))
}

/** Removes the headers in every spelling that Node distinguishes: an application may read `x_user_id` as `x-user-id`. */
export function removeIdentityHeaders(request: IncomingMessage, { identity }: Snapshot): void {
  for (const name of Object.keys(request.headers)) {
    if (identity.claimHeaders?.has(name.replaceAll('_', '-'))) delete request.headers[name]
  }
}
