// Checks the required programs. A missing program is reported with the command that installs it; no part of the benchmark is skipped.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Peer } from './peers/peer.ts'

const DEBIAN_PACKAGE: Readonly<Record<string, string>> = { taskset: 'util-linux' }
const ALWAYS = ['taskset', 'wrk', 'nginx']
const INSTALLED = fileURLToPath(new URL('../node_modules', import.meta.url))

/** One sentence for each thing that is missing; empty when the run may begin. */
export function missing(peers: readonly Peer[]): string[] {
  const needed = new Set([...ALWAYS, ...peers.flatMap((peer) => peer.executables)])
  const absent = [...needed].filter((executable) => !isOnPath(executable))
  const packages = [...new Set(absent.map((executable) => DEBIAN_PACKAGE[executable] ?? executable))]
  return [
    ...(process.platform === 'linux' ? [] : ['This benchmark reads /proc and pins processors: it runs on Linux only.']),
    ...(availableParallelism() < 2 ? ['Two processors are needed: one for the peer, one for the load.'] : []),
    ...(existsSync(INSTALLED) ? [] : ['The npm packages are missing. Install them with:  npm ci']),
    ...(absent.length === 0
      ? []
      : [
          `Missing: ${absent.join(', ')}. Install with:  apt-get install -y --no-install-recommends ${packages.join(' ')}`,
          'Debian starts such services at once; stop them with:  service nginx stop; service haproxy stop; service caddy stop',
        ]),
  ]
}

function isOnPath(executable: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${executable}`]).status === 0
}
