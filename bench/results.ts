// Rounds of every peer, and the medians that the tables and the targets are made of.
import type { Cost, Round } from './measure.ts'
import { median } from './stats.ts'

export type Results = ReadonlyMap<string, readonly Round[]>

export type Medians = {
  readonly requestsPerSecond: number
  readonly p50Us: number
  readonly p99Us: number
  readonly downloadMiBps: number
  readonly pacedP50Us: number
  readonly pacedP99Us: number
  readonly cost: Cost | undefined
}

export function mediansOf(rounds: readonly Round[]): Medians {
  const of = (read: (round: Round) => number) => median(rounds.map(read))
  const costs = rounds.flatMap((round) => round.cost ?? [])
  const ofCost = (read: (cost: Cost) => number) => median(costs.map(read))
  return {
    requestsPerSecond: of((round) => round.requestsPerSecond),
    p50Us: of((round) => round.p50Us),
    p99Us: of((round) => round.p99Us),
    downloadMiBps: of((round) => round.downloadMiBps),
    pacedP50Us: of((round) => round.pacedP50Us),
    pacedP99Us: of((round) => round.pacedP99Us),
    cost:
      costs.length === 0
        ? undefined
        : {
            cpuUsPerRequest: ofCost((cost) => cost.cpuUsPerRequest),
            cpuUsPerMiB: ofCost((cost) => cost.cpuUsPerMiB),
            rssPeakMiB: ofCost((cost) => cost.rssPeakMiB),
            rssAfterMiB: ofCost((cost) => cost.rssAfterMiB),
          },
  }
}

/** What a peer adds to the median at the same fixed rate, each round compared with the direct run of that same round. */
export function addedLatencyUs(results: Results, name: string): number | undefined {
  const direct = results.get('direct')
  const rounds = results.get(name)
  if (!direct || !rounds) return undefined
  return median(rounds.map((round, n) => round.pacedP50Us - direct[n]!.pacedP50Us))
}
