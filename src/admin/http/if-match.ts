// Entity tags: the generation of the last change, and changes that require it (RFC 9110 sections 8.8.3 and 13.1.1).
import { ApiRefusal } from './problem.ts'

export function etag(generation: number): string {
  return `"${generation}"`
}

/** @returns the generation that the change requires; undefined if it requires none */
export function readIfMatch(field: string | undefined): number | undefined | ApiRefusal {
  if (field === undefined || field.trim() === '*') return undefined
  const [, generation] = /^\s*"(\d{1,15})"\s*$/.exec(field) ?? []
  if (generation !== undefined) return Number(generation)
  // If-Match uses strong comparison: a weak tag never matches (RFC 9110 section 13.1.1).
  if (/^\s*W\//.test(field))
    return new ApiRefusal('precondition-failed', 'a weak tag never matches: send the ETag of the response unchanged')
  return new ApiRefusal('bad-request', 'If-Match must be one ETag of a response, such as "7", or *')
}
