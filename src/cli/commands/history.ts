// `strangler history`: prints, exports and verifies the audit log.
import { PATHS } from '../../admin/contract/api-paths.ts'
import {
  type AuditPage,
  type AuditRecord,
  auditPage,
  auditVerification,
  type ChainReport,
} from '../../admin/contract/audit.ts'
import { contextResponse } from '../../admin/contract/contexts.ts'
import { formatValue } from '../../config/mistake.ts'
import { apiPath, withQuery } from '../client/api-path.ts'
import type { Client } from '../client/client.ts'
import { createGatewayClient, printResponse, QUERY_OPTIONS, type QueryValues } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { describeDifference, rulingOf } from '../format/difference-summary.ts'
import { showEnd, showMoment } from '../format/durations.ts'
import { type Cell, countNoun, formatJson, formatTable, paint, type Screen } from '../format/print.ts'
import { queryManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { UsageError } from '../usage-error.ts'

const summary = 'shows who changed what, when and why'
const MAX_LIMIT = 200

export const history: Command = {
  summary,
  help: queryManual({
    summary,
    usage: 'strangler history [CONTEXT] [--limit N] [options]\n       strangler history --verify [options]',
    examples: [
      'strangler history',
      'strangler history catalog --limit 5',
      'strangler history --all --json > audit.jsonl',
      'strangler history --verify',
    ],
    about: `
The audit log, newest first: every change, every refused change, and every change of flags outside of the
gateway, in flags.json or in Unleash. The output contains the number of records that the limit of the log
has removed.

The entries form a hash chain. --verify checks the whole chain and prints the hash of the newest entry. It
exits 1 at the first entry that was edited, is out of order, or whose predecessor is missing. A program that
can write to the store can compute a new chain: keep the printed hash in another place, and search for it in
the log later (history --all --json).`,
    options: `  --limit N               the number of records, 1 to ${MAX_LIMIT} (default 20)
  --all                   with --json: the whole log, one record on each line
  --verify                verifies the hash chain of the whole log`,
  }),
  run: async (args) => {
    const options = {
      ...QUERY_OPTIONS,
      limit: { type: 'string' },
      all: { type: 'boolean' },
      verify: { type: 'boolean' },
    } as const
    const { values, positionals } = parse(args, options, 1)
    const [context] = positionals
    if (values.verify === true) {
      if (context !== undefined || values.limit !== undefined || values.all === true)
        throw new UsageError('--verify checks the whole log: it takes no context, no --limit and no --all')
      return verify(values)
    }
    const limit = readLimit(values.limit, values.all === true)
    if (values.all === true && values.json !== true) throw new UsageError('--all exports the log: add --json')
    const client = createGatewayClient(values)
    if (values.all === true) return exportAll(client, context)
    const { body, raw } = await client.get(withQuery(PATHS.audit, { context, limit }), auditPage)
    await checkContext(client, context, body)
    printResponse(values, raw, (screen) => pageLines(body, Date.now(), screen))
    return EXIT.done
  },
}

async function verify(values: QueryValues): Promise<number> {
  const { body, raw } = await createGatewayClient(values).get(PATHS.auditVerification, auditVerification)
  printResponse(values, raw, (screen) => verificationLines(body, screen))
  return body.broken === null ? EXIT.done : EXIT.failed
}

const FAULTS: Readonly<Record<NonNullable<ChainReport['broken']>['fault'], string>> = {
  edited: 'was edited: its content does not match its hash',
  missing: 'follows an entry that is not in the log: the entry before it was removed or replaced',
  reordered: 'comes before the entry that it follows: entries were reordered',
  repeated: 'is in the log twice',
}

function verificationLines(report: ChainReport, screen: Screen): string {
  const { verified, unchained, unchainedAfterStart, branches, head, startsAfter, broken } = report
  const entries = `${countNoun(verified, 'entry', 'entries')} verified, ${unchained} unchained`
  const notes = [
    ...(unchained === 0
      ? []
      : ['unchained entries have no hash, as gateways of version 0.1 write them: an edit of them cannot be found']),
    ...(unchainedAfterStart === 0
      ? []
      : [`${unchainedAfterStart} of them newer than the chain: expected only while gateways of version 0.1 run`]),
    ...(startsAfter === null ? [] : [`the chain begins after ${startsAfter}: entries before it are not in the log`]),
    ...(branches === 0
      ? []
      : [
          `${countNoun(branches, 'branch', 'branches')}: expected only after gateways put back entries that Redis had lost`,
        ]),
  ].map((text) => paint({ text: `note: ${text}`, tone: 'faint' }, screen))
  if (broken === null) return [`${entries}, head ${head ?? '-'}`, ...notes].join('\n')
  const fault = `the entry at position ${broken.position} (${showMoment(broken.at)}) ${FAULTS[broken.fault]}`
  return [paint({ text: fault, tone: 'warning' }, screen), `before it: ${entries}, head ${head ?? '-'}`, ...notes].join(
    '\n',
  )
}

function readLimit(text: string | undefined, isAll: boolean): number {
  if (text === undefined) return isAll ? MAX_LIMIT : 20
  if (isAll) throw new UsageError('--limit and --all exclude each other')
  const limit = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (limit >= 1 && limit <= MAX_LIMIT) return limit
  throw new UsageError(
    `--limit: must be a whole number from 1 to ${MAX_LIMIT} (found ${formatValue(text)}); for the whole log, use --all --json`,
  )
}

/** An empty result may mean a mistyped context. A context that is no longer in the config can still have records. */
async function checkContext(client: Client, context: string | undefined, { records }: AuditPage): Promise<void> {
  if (context !== undefined && records.length === 0) await client.get(apiPath(PATHS.context, context), contextResponse)
}

/** Reads page by page, so that the memory does not grow with the length of the log. */
async function exportAll(client: Client, context: string | undefined): Promise<number> {
  let cursor: string | null = null
  let dropped = 0
  do {
    const page: AuditPage = await nextPage(client, context, cursor)
    if (cursor === null) await checkContext(client, context, page)
    for (const record of page.records) process.stdout.write(`${formatJson(record)}\n`)
    cursor = page.next
    dropped = page.dropped
  } while (cursor !== null)
  if (dropped > 0) process.stderr.write(`strangler history: ${droppedText(dropped)}\n`)
  return EXIT.done
}

async function nextPage(client: Client, context: string | undefined, cursor: string | null): Promise<AuditPage> {
  return (await client.get(withQuery(PATHS.audit, { context, limit: MAX_LIMIT, cursor }), auditPage)).body
}

const HEADS = ['when', 'what', 'context', 'change', 'by', 'result', 'why']

function pageLines({ records, next, dropped }: AuditPage, now: number, screen: Screen): string {
  if (records.length === 0) return 'the audit log has no records'
  return [
    formatTable(
      HEADS,
      records.map((record) => rowOf(record, now)),
      screen,
      ['when', 'what'],
    ),
    ...(next === null ? [] : [paint({ text: 'for older records: --limit, or --all --json', tone: 'faint' }, screen)]),
    ...(next === null && dropped > 0 ? [paint({ text: droppedText(dropped), tone: 'warning' }, screen)] : []),
  ].join('\n')
}

function droppedText(dropped: number): string {
  return `${countNoun(dropped, 'older record')} ${dropped === 1 ? 'was' : 'were'} removed: the log has a limit`
}

function rowOf(record: AuditRecord, now: number): Cell[] {
  const { at: time, verb, context, actor, address, result, detail, reason } = record
  return [
    showMoment(time),
    verb,
    context ?? '-',
    changeOf(record, now),
    address === null ? actor : `${actor} (${address})`,
    result === 'done' ? result : { text: result, tone: 'warning' },
    [reason, detail].filter((text) => text !== null).join('; '),
  ]
}

function changeOf({ verb, before: previous, after: current, until, result }: AuditRecord, now: number): string {
  if (result !== 'done') return ''
  if (verb === 'pin') return `${valueText(current)} ${showEnd(until, now)}`
  if (verb === 'kill' || verb === 'revive') return ''
  if (verb === 'shadow') return transition(sampleOf(previous), sampleOf(current))
  if (verb === 'rule' || verb === 'resolve') {
    return `${describeDifference(current)}: ${transition(rulingOf(previous), rulingOf(current))}`
  }
  const unit = verb === 'flip' || verb === 'outside' ? ' %' : ''
  const [from, to] = [previous, current].map((value) =>
    typeof value === 'number' ? `${value}${unit}` : valueText(value),
  )
  return transition(String(from), String(to))
}

function transition(from: string, to: string): string {
  return from === to ? to : `${from} → ${to}`
}

function sampleOf(percentage: unknown): string {
  return typeof percentage === 'number' ? `${percentage} %` : 'as configured'
}

/** A side, a pin, the state before or after a rollback, or the generation before or after a restore. */
function valueText(value: unknown): string {
  if (value === null || value === undefined) return '-'
  if (typeof value !== 'object') return String(value)
  if ('side' in value) return String(value.side)
  if ('generation' in value) return `generation ${value.generation}`
  if (!('percentage' in value)) return JSON.stringify(value)
  const { pin, percentage } = value as { readonly pin?: unknown; readonly percentage: unknown }
  return pin === null || pin === undefined ? `${percentage} %` : valueText(pin)
}
