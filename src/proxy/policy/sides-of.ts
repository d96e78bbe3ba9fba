// Where a request would be sent, side by side: for whoever wants to send it by hand. Pure.
import type { SideTargets } from '../../model/comparison-views.ts'
import type { Side } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { upstreamPath } from './path.ts'

/**
 * Undefined where the config has no such context any more.
 *
 * @param request.target as the client asked for it, perhaps masked
 */
export function sidesOf(
  { contexts, legacy, match }: Pick<Snapshot, 'contexts' | 'legacy' | 'match'>,
  context: string,
  request: { readonly method: string; readonly host: string; readonly target: string },
): SideTargets | undefined {
  const service = contexts.get(context)?.service
  if (service === undefined) return undefined
  const { target } = request
  const end = target.indexOf('?')
  const [path, query] = end === -1 ? [target, ''] : [target.slice(0, end), target.slice(end)]
  const found = match(request.method, request.host, path)
  // Where the map has moved the path elsewhere since, nothing is known of a rewrite.
  const isOurs = found.route.context?.name === context
  const targetOf = (side: Side) => (isOurs ? upstreamPath({ path, query }, found, side) : target)
  const urlOf = (urls: readonly string[]) => urls[0] ?? ''
  return {
    legacy: { url: urlOf(legacy.urls), target: targetOf('legacy') },
    service: { url: urlOf(service.urls), target: targetOf('service') },
  }
}
