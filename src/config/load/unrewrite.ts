// The inverse of a route's rewrite, for response fields that name the service's path. Pure.
import type { InverseRewrite, RewritePart } from '../../model/route.ts'
import { rewriteParts } from '../schema/pattern.ts'
import type { ValidRoute } from '../schema/valid-config.ts'

/** Undefined where nothing is rewritten, or where the rewrite leaves out a parameter of the path. */
export function unrewriteOf({ pattern, rewrite }: ValidRoute): InverseRewrite | undefined {
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
  // `{` is in no valid pattern.
  return parts
    .map((part) => ('text' in part ? part.text : `{${part.param}`))
    .join('')
    .split('/')
}

/** Two prefixes; both are `''` where a parameter is left in one of them. */
function withoutCommonEnd(from: string[], to: string[]): [string, string] {
  let common = 0
  while (common < Math.min(from.length, to.length) - 1 && from.at(-1 - common) === to.at(-1 - common)) common++
  const prefixes = [from, to].map((list) => list.slice(0, list.length - common).join('/'))
  return prefixes.some((prefix) => prefix.includes('{')) ? ['', ''] : (prefixes as [string, string])
}
