// A field looked up once: hardly a list has thirty.
import type { HeaderList } from '../../model/request-head.ts'

/** The value of the first field of that name; `''` where there is none. @param name in lower case */
export function firstField(fields: HeaderList, name: string): string {
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const candidate = fields[i]!
    if (candidate.length === name.length && candidate.toLowerCase() === name) return fields[i + 1]!
  }
  return ''
}
