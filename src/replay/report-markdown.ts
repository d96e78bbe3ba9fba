// The report for people. The verdict comes first.
import { escapeControls } from '../lib/escape.ts'
import { DIFFERENCE_KINDS, type DifferenceKind } from '../model/comparison.ts'
import type { Parity } from '../model/comparison-counts.ts'
import { DEFAULT_PARITY_TARGET } from '../shadow/stats/parity.ts'
import { SKIP_REASONS, type SkipReason } from './recording.ts'
import type { ContextReport, DifferenceReport, ReplayReport, RouteReport } from './report.ts'

export function toMarkdown(report: ReplayReport): string {
  const parts = [
    `# Replay of ${code(report.recording.file)}`,
    verdict(report),
    ...report.notes.map((note) => `> ${note}`),
    table(['Fact', 'Value'], facts(report)),
    '## Outcomes',
    table(['Outcome', 'Requests'], outcomeRows(report)),
    unreadableList(report),
    ...report.contexts.flatMap(contextParts),
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

/** In sentences: the parity, its confidence, and the result of the gate. */
function verdict({ parity, gate }: ReplayReport): string {
  const sentences = [parityWords(parity)]
  if (gate === null) {
    const missing = parity.untilTarget
    sentences.push(
      missing === 0
        ? `There were enough comparisons to say that at least ${percent(DEFAULT_PARITY_TARGET)} match.`
        : `There were not enough comparisons to say that at least ${percent(DEFAULT_PARITY_TARGET)} match: ${number(missing)} more must, with none that does not.`,
    )
    return sentences.join(' ')
  }
  const against = [
    ...(gate.inconclusive > 0 ? [`${number(gate.inconclusive)} inconclusive`] : []),
    ...(gate.unanswered > 0 ? [`${number(gate.unanswered)} that the service did not answer`] : []),
  ]
  const counted = against.length === 0 ? '' : `, with ${against.join(' and ')} counted against it`
  sentences.push(
    gate.share === undefined
      ? '**Failed:** nothing could be compared.'
      : `**${gate.isPassed ? 'Passed' : 'Failed'}:** ${percent(gate.share)} match${counted}; ${percent(gate.target)} is asked for.`,
  )
  if (gate.isPassed) {
    sentences.push(
      gate.isSure
        ? 'There were enough comparisons to say so.'
        : `There were not enough comparisons to be sure of it: ${number(gate.untilSure)} more must match, with none that does not.`,
    )
  }
  return sentences.join(' ')
}

function parityWords({ matching, conclusive, inconclusive, atLeast }: Parity): string {
  if (matching === undefined) return 'No comparison says yet whether the sides agree.'
  const { share, lower, upper } = matching
  const open =
    inconclusive === 0
      ? ''
      : ` ${number(inconclusive)} more are inconclusive; if none of them matches, it is ${percent(atLeast)} at least.`
  return `**${percent(share)} of ${number(conclusive)} comparisons match** (95 % confidence: ${percent(lower)} to ${percent(upper)}), with noise, and with what rules forgive.${open}`
}

function facts({ recording, legacy, services, startedAt, finishedAt, withCredentials }: ReplayReport): string[][] {
  return [
    [
      'recording',
      `${recording.format}, ${number(recording.bytes)} bytes, sha256 ${code(recording.sha256.slice(0, 16))}`,
    ],
    ['legacy', legacy.map(code).join(', ')],
    ...Object.entries(services).map(([name, urls]) => [`service ${code(name)}`, urls.map(code).join(', ')]),
    ['replayed', `${startedAt} to ${finishedAt}`],
    ['credentials', withCredentials ? 'sent as recorded' : 'not sent'],
  ]
}

const OUTCOMES = {
  matched: 'matched',
  mismatched: 'mismatched',
  noise: 'noise: they differ as legacy differs from itself',
  inconclusive: 'inconclusive: they differ, and it is not known yet whether this is noise',
  ignored: 'ignored: a rule forgives all differences',
  uncomparable: 'uncomparable: both sides answered, but the answers cannot be compared',
  failed: 'failed: a side did not answer',
} as const

function outcomeRows({ accounting, requests }: ReplayReport): string[][] {
  const outcomes = Object.entries(OUTCOMES) as [keyof typeof OUTCOMES, string][]
  const skipped = Object.entries(requests.skipped) as [SkipReason, number][]
  return [
    ['**replayed**', `**${number(requests.replayed)}**`],
    ...outcomes.map(([place, words]) => [words, number(accounting[place])]),
    ...skipped.map(([reason, count]) => [`not replayed: ${SKIP_REASONS[reason]}`, number(count)]),
    ...(requests.unreadable.count > 0 ? [['not replayed: cannot be read', number(requests.unreadable.count)]] : []),
    ...(requests.interrupted > 0 ? [['interrupted', number(requests.interrupted)]] : []),
  ]
}

function unreadableList({ recording, requests: { unreadable } }: ReplayReport): string {
  if (unreadable.count === 0) return ''
  const unit = recording.format === 'har' ? 'entry' : 'line'
  const listed = unreadable.first.map((entry) => `- ${unit} ${entry.at} ${entry.why}`)
  const more = unreadable.count - unreadable.first.length
  return [...listed, ...(more > 0 ? [`- and ${number(more)} more`] : [])].join('\n')
}

function contextParts({ context, owner, parity, routes }: ContextReport): string[] {
  return [
    `## ${plain(context)} (${plain(owner)})`,
    parityWords(parity),
    table(
      [
        'Route',
        'Replayed',
        'Match',
        'Mismatched',
        'Inconclusive',
        'Uncomparable',
        'Failed',
        'Pairs',
        'Legacy answered',
      ],
      routes.map(routeRow),
    ),
    ...routes.filter(({ differences }) => differences.length > 0).flatMap(routeParts),
  ]
}

function routeRow({ route, accounting, parity, pairs, statuses, failed, uncomparable }: RouteReport): string[] {
  const counts = [accounting.mismatched, accounting.inconclusive].map(number)
  const answered = Object.entries(statuses).map(([status, times]) => `${status} × ${number(times)}`)
  return [
    ...[code(route), number(accounting.eligible), parity.matching === undefined ? '–' : percent(parity.matching.share)],
    ...[...counts, withWords(accounting.uncomparable, uncomparable), withWords(accounting.failed, failed)],
    ...[number(pairs), answered.join(', ')],
  ]
}

/** `3 (connect-refused)`. */
function withWords(count: number, reasons: Readonly<Record<string, number>>): string {
  const words = Object.keys(reasons)
  return words.length === 0 ? number(count) : `${number(count)} (${words.join(', ')})`
}

function routeParts({ route, differences }: RouteReport): string[] {
  const shown = differences.slice(0, DIFFERENCES_SHOWN)
  const more = differences.length - shown.length
  return [
    `### ${code(route)}`,
    table(
      ['Verdict', 'Where', 'What', 'Comparisons', 'Pairs', 'Legacy', 'Service', 'Request'],
      shown.map(differenceRow),
    ),
    more > 0 ? `And ${number(more)} more; the JSON report has all.` : '',
  ]
}

const DIFFERENCES_SHOWN = 30

function differenceRow({ kind, path, verdict, sides, self, examples: [example] }: DifferenceReport): string[] {
  const shown = example === undefined ? ['', '', ''] : [value(example.legacy), value(example.service), example.target]
  const [legacy = '', service = '', target = ''] = shown
  const request = example === undefined ? '' : code(`${example.method} ${target}`)
  const words = DIFFERENCE_KINDS[kind as DifferenceKind]
  return [verdict, code(path), words, number(sides), number(self), legacy, service, request]
}

function value(text: string | null): string {
  return text === null ? '' : code(text.length > MAX_VALUE_LENGTH ? `${text.slice(0, MAX_VALUE_LENGTH)}…` : text)
}

const MAX_VALUE_LENGTH = 80

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [heads, heads.map(() => '---'), ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Responses choose the text: it must not end the code span, the cell or the line. */
function code(text: string): string {
  const shown = plain(text).replaceAll('|', '\\|')
  return shown.includes('`') ? `\`\` ${shown.replaceAll(/`{2,}/g, "''")} \`\`` : `\`${shown}\``
}

function plain(text: string): string {
  return escapeControls(text)
}

function number(count: number): string {
  return count.toLocaleString('en-US')
}

/** Rounded down: 99.996 % must not become 100 %. */
function percent(share: number): string {
  const hundredths = Math.floor(share * 10_000 + 1e-6) / 100
  return `${hundredths} %`
}
