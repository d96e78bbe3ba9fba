// The report: Markdown tables, padded so that they read the same in a terminal.
import { CONNECTIONS } from './measure.ts'
import { addedLatencyUs, type Medians, mediansOf, type Results } from './results.ts'
import { spread } from './stats.ts'
import { table } from './table.ts'
import { limitText, ratioTo, type Verdict } from './targets.ts'

export type Conditions = {
  readonly facts: readonly (readonly [string, string])[]
  readonly rounds: number
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly pacedRate: number
}

export function report(results: Results, verdicts: readonly Verdict[], conditions: Conditions): string {
  return [
    '# Results',
    `Medians of ${conditions.rounds} interleaved rounds of ${conditions.seconds} s a workload, ${conditions.warmUpSeconds} s of warm-up a start. Each peer alone on one processor; the load and the origin on the other.`,
    `## Small JSON GET, ${CONNECTIONS.json} kept-alive connections`,
    smallGetTable(results),
    `## 1 MiB download, ${CONNECTIONS.download} kept-alive connections`,
    downloadTable(results),
    `## Latency at a fixed ${conditions.pacedRate} requests/s (a tenth of the gateway's peak)`,
    latencyTable(results),
    ...(results.has('strangler') && results.size > 1
      ? ['## The gateway, as a ratio to each peer', ratioTable(results)]
      : []),
    '## Targets',
    targetTable(verdicts),
    ...troubles(results),
    '## Machine',
    table(['fact', 'value'], conditions.facts),
  ].join('\n\n')
}

function smallGetTable(results: Results): string {
  const heading = [
    'peer',
    'requests/s',
    'p50 ms',
    'p99 ms',
    'CPU µs/request',
    '± spread',
    'RSS MiB',
    'peak MiB',
    'disturbed',
  ]
  return table(
    heading,
    rowsOf(results, (name, medians) => [
      name,
      whole(medians.requestsPerSecond),
      milliseconds(medians.p50Us),
      milliseconds(medians.p99Us),
      fixed(medians.cost?.cpuUsPerRequest, 1),
      percent(spread(results.get(name)!.map((round) => round.cost?.cpuUsPerRequest ?? Number.NaN))),
      fixed(medians.cost?.rssAfterMiB, 0),
      fixed(medians.cost?.rssPeakMiB, 0),
      percent(Math.max(...results.get(name)!.map((round) => round.disturbance))),
    ]),
  )
}

function downloadTable(results: Results): string {
  return table(
    ['peer', 'MiB/s', 'CPU µs/MiB'],
    rowsOf(results, (name, medians) => [name, whole(medians.downloadMiBps), fixed(medians.cost?.cpuUsPerMiB, 0)]),
  )
}

function latencyTable(results: Results): string {
  return table(
    ['peer', 'p50 ms', 'p99 ms', 'added p50 ms'],
    rowsOf(results, (name, medians) => {
      const added = addedLatencyUs(results, name)
      const shown = name === 'direct' || added === undefined ? '-' : milliseconds(added)
      return [name, milliseconds(medians.pacedP50Us), milliseconds(medians.pacedP99Us), shown]
    }),
  )
}

function ratioTable(results: Results): string {
  const others = [...results.keys()].filter((name) => name !== 'strangler')
  const ratio = (name: string, read: (medians: Medians) => number | undefined) => fixed(ratioTo(name, read, results), 2)
  return table(
    ['strangler /', 'requests/s', 'CPU a request', 'download', 'CPU a MiB', 'RSS'],
    others.map((name) => [
      name,
      ratio(name, (medians) => medians.requestsPerSecond),
      ratio(name, (medians) => medians.cost?.cpuUsPerRequest),
      ratio(name, (medians) => medians.downloadMiBps),
      ratio(name, (medians) => medians.cost?.cpuUsPerMiB),
      ratio(name, (medians) => medians.cost?.rssAfterMiB),
    ]),
  )
}

function targetTable(verdicts: readonly Verdict[]): string {
  return table(
    ['target', 'limit', 'measured', 'verdict'],
    verdicts.map(({ target, measured, word }) => [target.what, limitText(target.limit), fixed(measured, 3), word]),
  )
}

function troubles(results: Results): string[] {
  const lines = [...results].flatMap(([name, rounds]) =>
    rounds.flatMap((round, n) => round.troubles.map((trouble) => `- ${name}, round ${n + 1}: ${trouble}`)),
  )
  return lines.length === 0
    ? ['No answer other than 2xx and no socket error in any run.']
    : ['## FAILED REQUESTS', lines.join('\n')]
}

function rowsOf(results: Results, row: (name: string, medians: Medians) => string[]): string[][] {
  return [...results].map(([name, rounds]) => row(name, mediansOf(rounds)))
}

const whole = (value: number) => value.toFixed(0)
const milliseconds = (us: number) => (us / 1000).toFixed(3)
const fixed = (value: number | undefined, digits: number) => (value === undefined ? '-' : value.toFixed(digits))
const percent = (share: number) => (Number.isNaN(share) ? '-' : `${(share * 100).toFixed(0)}%`)
