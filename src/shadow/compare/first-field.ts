// Looks up one field. A list has few fields, so a linear search is enough.
import type { HeaderList } from '../../model/request-head.ts'

/** The value of the first field of that name; `''` without one. @param name in lower case */
export function firstField(fields: HeaderList, name: string): string {
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const candidate = fields[i]!
    if (candidate.length === name.length && candidate.toLowerCase() === name) return fields[i + 1]!
  }
  return ''
}
