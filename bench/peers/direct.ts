import type { Peer } from './peer.ts'

export const direct: Peer = {
  name: 'direct',
  description: 'no proxy: the load talks to the legacy origin itself',
  executables: [],
  version: () => '-',
  prepare: undefined,
}
