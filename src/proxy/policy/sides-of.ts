// The addresses and targets of a request on both sides, for an operator who repeats it by hand. Pure.
import type { SideTargets } from '../../model/comparison-views.ts'
import type { Side } from '../../model/route.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import { upstreamPath } from './path.ts'

/**
 * @param request.target the target that the client sent, possibly masked
 * @returns undefined if the config does not contain the context any more
 */
export function sidesOf(
  { contexts, legacy, match: matchOf }: Pick<Snapshot, 'contexts' | 'legacy' | 'match'>,
  context: string,
  request: { readonly method: string; readonly host: string; readonly target: string },
): SideTargets | undefined {
  const service = contexts.get(context)?.service
  if (service === undefined) return undefined
  const { target } = request
  const end = target.indexOf('?')
  const [path, query] = end === -1 ? [target, ''] : [target.slice(0, end), target.slice(end)]
  const match = matchOf(request.method, request.host, path)
  // If the map has since moved the path to another context, its rewrite does not apply.
  const isOwned = match.route.context?.name === context
  const targetOf = (side: Side) => (isOwned ? upstreamPath({ path, query }, match, side) : target)
  const urlOf = (urls: readonly string[]) => urls[0] ?? ''
  return {
    legacy: { url: urlOf(legacy.urls), target: targetOf('legacy') },
    service: { url: urlOf(service.urls), target: targetOf('service') },
  }
}
