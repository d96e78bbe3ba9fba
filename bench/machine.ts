// The facts a reader needs to judge the numbers, and none that name the machine.
import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem } from 'node:os'
import type { Peer } from './peers/peer.ts'

export function machineFacts(peers: readonly Peer[]): readonly (readonly [string, string])[] {
  return [
    ...computerFacts(),
    ['wrk', wrkVersion()],
    ...peers
      .filter((peer) => peer.prepare)
      .map((peer) => [peer.name, `${peer.version()}: ${peer.description}`] as const),
  ]
}

export function computerFacts(): readonly (readonly [string, string])[] {
  return [
    ['date', new Date().toISOString().slice(0, 10)],
    ['processors', `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}`],
    ['memory', `${Math.round(totalmem() / 2 ** 30)} GiB`],
    ['kernel', `Linux ${release().split('-')[0]}`],
    ['node', process.version],
  ]
}

// wrk -v prints its usage as well and exits 1.
function wrkVersion(): string {
  return execFileSync('sh', ['-c', 'wrk -v | head -1'], { encoding: 'utf8' }).split(' ')[1] ?? 'unknown'
}
