// Inverts the rewrite of a route, for response fields that contain a path of the service. Pure.
import type { InverseRewrite, RewritePart } from '../../model/route.ts'
import { rewriteParts } from '../schema/pattern.ts'
import type { ValidRoute } from '../schema/valid-config.ts'

/** Returns undefined if the route has no rewrite, or if its rewrite omits a parameter of the path. */
export function invertRewrite({ pattern, rewrite }: ValidRoute): InverseRewrite | undefined {
  if (rewrite === undefined) return undefined
  const parts = rewriteParts(pattern)
  const names = rewrite.flatMap((part) => ('param' in part ? [part.param] : []))
  if (parts.some((part) => 'param' in part && !names.includes(part.param))) return undefined
  const source = rewrite.map((part) => {
    if ('text' in part) return RegExp.escape(part.text)
    return part.param === '*' ? '(.*)' : '([^/]+)'
  })
  const [from, to] = withoutCommonEnd(segments(rewrite), segments(parts))
  return { expression: new RegExp(`^${source.join('')}$`, 's'), names, parts, from, to }
}

function segments(parts: readonly RewritePart[]): string[] {
  // A valid pattern does not contain `{`.
  return parts
    .map((part) => ('text' in part ? part.text : `{${part.param}`))
    .join('')
    .split('/')
}

/** Removes the common last segments. Returns two prefixes; both are `''` if one of them still contains a parameter. */
function withoutCommonEnd(from: string[], to: string[]): [string, string] {
  let common = 0
  while (common < Math.min(from.length, to.length) - 1 && from.at(-1 - common) === to.at(-1 - common)) common++
  const prefixes = [from, to].map((list) => list.slice(0, list.length - common).join('/'))
  return prefixes.some((prefix) => prefix.includes('{')) ? ['', ''] : (prefixes as [string, string])
}
