// Actors in the audit log that are not people. The admin API rejects a token whose subject looks like one of them, so that no
// person can act under such a name.

/** All built-in actors. An edit of the flags file is recorded with the path of the file. */
export const BUILT_IN_ACTORS = {
  adminToken: 'admin-token',
  flagsFile: 'flags.json',
  gateway: 'gateway',
  killFile: 'kill file',
  signal: 'signal',
  unknown: 'unknown',
  unleash: 'unleash',
} as const

/** Whether a reader could take the name for a built-in actor: case, width, separators and a folder before it do not count. */
export function isBuiltInActor(name: string): boolean {
  const plain = skeletonOf(name)
  return SKELETONS.has(plain) || /\.json$/.test(name.normalize('NFKC').trim().toLowerCase())
}

const SKELETONS: ReadonlySet<string> = new Set(Object.values(BUILT_IN_ACTORS).map(skeletonOf))

function skeletonOf(name: string): string {
  return name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[\s_./\\-]+/gu, '')
}
