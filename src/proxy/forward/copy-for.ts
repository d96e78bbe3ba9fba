// The copy of a request for a side: the request that the gateway would have sent if it had chosen that side.
import type { CreateCopy } from '../../model/shadow.ts'
import { acceptsPath } from '../policy/encoded-slashes.ts'
import { upstreamPath } from '../policy/path.ts'
import type { Upstreams } from '../upstream/upstreams.ts'
import type { Forwarding } from './forwarding.ts'
import { requestHeaders } from './headers.ts'

/** A copy goes only to an available address: an ejected address gets no copies either. */
export function copyFor(
  { upstreams, viaName }: { readonly upstreams: Upstreams; readonly viaName: string },
  { head, identity, snapshot, match, traceparent }: Omit<Forwarding, 'downstream'>,
): CreateCopy {
  return (side) => {
    const upstream = side === 'legacy' ? snapshot.legacy : match.route.context?.service
    if (upstream === undefined || !upstreams.isAvailable(upstream)) return undefined
    if (!acceptsPath(head, match.route, upstream)) return undefined
    const address = upstreams.selectAddressForCopy(upstreams.get(upstream))
    if (address === undefined) return undefined
    const added = { head, identity, snapshot, rules: match.route.headers, viaName, traceparent }
    const { user, claimHeaders } = snapshot.identity
    return {
      origin: address.url,
      tls: upstream.tls,
      servername: address.servername,
      method: head.method,
      path: upstreamPath(head, match, side),
      fields: requestHeaders(added, upstream, address.authority),
      identityFields: [...(user === undefined ? [] : [user.header]), ...(claimHeaders ?? [])],
    }
  }
}
