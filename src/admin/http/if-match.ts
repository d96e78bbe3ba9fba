// Entity tags: the generation of the last change, and writes that are only meant for it (RFC 9110 sections 8.8.3, 13.1.1).
import { Refusal } from './problem.ts'

export function etag(generation: number): string {
  return `"${generation}"`
}

/** The generation that a write is meant for; undefined where any will do. */
export function readIfMatch(field: string | undefined): number | undefined | Refusal {
  if (field === undefined || field.trim() === '*') return undefined
  const [, generation] = /^\s*"(\d{1,15})"\s*$/.exec(field) ?? []
  if (generation !== undefined) return Number(generation)
  // Strong comparison: a weak tag matches nothing, itself included.
  if (/^\s*W\//.test(field))
    return new Refusal('precondition-failed', 'a weak tag matches nothing: say the tag as it was answered')
  return new Refusal('bad-request', 'If-Match must be one tag as it was answered, such as "7", or *')
}
