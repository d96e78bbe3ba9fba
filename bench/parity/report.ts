// The report of the study: when faults were reported, which fields were reported wrongly, and the same for two other rules.
import { computerFacts } from '../machine.ts'
import { table } from '../table.ts'
import { FAMILY_NAMES, type FamilyName } from './families.ts'
import { type Fault, faultsIn } from './faults.ts'
import { type Figures, figuresOf } from './figures.ts'
import type { JudgingCost } from './judging-cost.ts'
import { NOISE } from './noise.ts'
import { noiseRates } from './noise-rates.ts'
import { JUDGE_INTERVAL, REPORTER_NAMES, type ReporterName } from './reporters.ts'
import { horizonOf, MAX_REQUESTS, type RunResult, type SeedResult } from './study.ts'
import type { Results, TargetVerdict } from './targets.ts'

export function report(results: Results, verdicts: readonly TargetVerdict[], costs: readonly JudgingCost[]): string {
  const families = FAMILY_NAMES.filter((family) => results[family] !== undefined)
  const seeds = results[families[0]!]!.length
  return [
    '# Results',
    `Seeds 1 to ${seeds}. Legacy and the service are equally noisy, and the service has one fault at a time. Counts are judged after every ${JUDGE_INTERVAL} requests. The same seeds give the same figures anywhere; only the cost of judging is this machine’s.`,
    ...families.flatMap((family) => [
      `## ${family.toUpperCase()}: requests until a fault is reported`,
      faultTable(family, results[family]!),
      `## ${family.toUpperCase()}: beside two other rules, on the same first ${count(MAX_REQUESTS)} requests`,
      ruleTable(family, results[family]!),
    ]),
    RULES,
    '## Noise',
    `How many of ${count(SAMPLE)} pairs of legacy’s own answers differ in each, in the first seed.`,
    noiseTable(families),
    '## Targets',
    table(
      ['target', 'limit', 'measured', 'verdict'],
      verdicts.map(({ target, limit, measured, verdict }) => [target, limit, measured, verdict]),
    ),
    '## The cost of judging',
    table(
      ['fields', 'comparisons', 'judgeFields ms'],
      costs.map(({ fields, comparisons, ms }) => [`${fields}`, count(comparisons), ms.toFixed(2)]),
    ),
    '## Machine',
    table(['fact', 'value'], computerFacts()),
  ].join('\n\n')
}

const RULES = `**any difference** reports a field as soon as it differs once. **Diffy's** asks legacy twice for every request, and reports a field that differs more often
between the sides than within legacy, by more than 20 % of both together and more than 0.03 % of all requests. Both are given the gateway's comparison of
the answers. Of two numbers, the first counts fields that were reported at any time, and the second those that were reported in the end. The numbers of the gateway
are those of all its requests, which are more in the run without a fault. **any difference** reports nearly every field, so its detection means little.`

function faultTable(family: FamilyName, seeds: readonly SeedResult[]): string {
  const rows = [undefined, ...faultsIn(family)].map((fault) => {
    const horizon = horizonOf(family, fault)
    const figures = figuresOf(runsOf(family, seeds, fault), 'gateway')
    return [
      nameOf(fault),
      fault === undefined ? '-' : `${fault.percent} %`,
      count(horizon),
      ...(fault === undefined ? ['-', '-', '-', '-'] : reportTimes(figures, horizon)),
      `${figures.falseFields}`,
      figures.falseReports.toFixed(1),
      percent(figures.pairShare),
    ]
  })
  return table(
    [
      'fault',
      'of answers',
      'requests',
      'median',
      'p95',
      `within ${count(MAX_REQUESTS)}`,
      'ever',
      `false fields, ${seeds.length} seeds`,
      'false reports in 10,000',
      'asked twice',
    ],
    rows,
  )
}

function reportTimes({ median, p95, reportedInTime, reported }: Figures, horizon: number): string[] {
  const requestCount = (requests: number) => (Number.isFinite(requests) ? count(requests) : `> ${count(horizon)}`)
  return [requestCount(median), requestCount(p95), percent(reportedInTime), percent(reported)]
}

function ruleTable(family: FamilyName, seeds: readonly SeedResult[]): string {
  const heading = REPORTER_NAMES.flatMap((name) => [
    `${NAMES[name]}: reported`,
    'false fields',
    'false reports in 10,000',
  ])
  const rows = [undefined, ...faultsIn(family)].map((fault) => [
    nameOf(fault),
    fault === undefined ? '-' : `${fault.percent} %`,
    ...REPORTER_NAMES.flatMap((name) => {
      const figures = figuresOf(runsOf(family, seeds, fault), name)
      return [
        fault === undefined ? '-' : percent(figures.reportedInTime),
        `${figures.falseFields} / ${figures.falseInTheEnd}`,
        figures.falseReports.toFixed(0),
      ]
    }),
  ])
  return table(['fault', 'of answers', ...heading], rows)
}

function noiseTable(families: readonly FamilyName[]): string {
  const rates = families.map((family) => noiseRates(family, 1, SAMPLE))
  return table(
    ['noise', ...families.map((family) => family.toUpperCase())],
    NOISE.map(({ name }, i) => [name, ...rates.map((ofFamily) => `${(ofFamily[i]! * 100).toFixed(1)} %`)]),
  )
}

const SAMPLE = 3000

const NAMES: Readonly<Record<ReporterName, string>> = {
  gateway: 'gateway',
  inequality: 'any difference',
  diffy: 'Diffy’s',
}

function runsOf(family: FamilyName, seeds: readonly SeedResult[], fault: Fault | undefined): RunResult[] {
  if (fault === undefined) return seeds.map(({ faultless }) => faultless)
  const index = faultsIn(family).indexOf(fault)
  return seeds.map(({ faults }) => faults[index]!)
}

function nameOf(fault: Fault | undefined): string {
  return fault?.name ?? 'none'
}

const count = (requests: number) => requests.toLocaleString('en')
const percent = (share: number) => `${(share * 100).toFixed(0)} %`
