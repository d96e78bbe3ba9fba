import { readFileSync } from 'node:fs'

/** The version of this package. The same path leads from the source and from its compiled twin. */
export function version(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
