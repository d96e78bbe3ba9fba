// `strangler history`: what was done, by whom and why.
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
import { pathOf, withQuery } from '../client/api-path.ts'
import type { Client } from '../client/client.ts'
import { ASKING, type AskingValues, clientFor, printAnswer } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { differenceIn, saidOf } from '../format/difference-summary.ts'
import { showEnd, showMoment } from '../format/durations.ts'
import { type Cell, count, json, paint, type Screen, table } from '../format/print.ts'
import { asking } from '../manual.ts'
import { parse } from '../parse.ts'
import { UsageError } from '../usage-error.ts'

const summary = 'shows what was done, by whom and why'
const MOST = 200

export const history: Command = {
  summary,
  help: asking({
    summary,
    usage: 'strangler history [CONTEXT] [--limit N] [options]\n       strangler history --verify [options]',
    examples: [
      'strangler history',
      'strangler history catalog --limit 5',
      'strangler history --all --json > audit.jsonl',
      'strangler history --verify',
    ],
    about: `
The audit log, what came last first: every change, every refusal, and what was changed outside, in flags.json
or in Unleash. What its limit took away is counted and said.

The entries form a hash chain. --verify follows it through the whole log, prints the hash of the newest
entry, and exits 1 at the first entry that was edited, that is out of order, or whose predecessor is missing.
A program that can write to the store can compute a new chain: keep the printed hash in another place, and
look for it in the log later (history --all --json).`,
    options: `  --limit N               how many, 1 to ${MOST} (default 20)
  --all                   with --json: all there is, one record a line
  --verify                follow the hash chain of the whole log`,
  }),
  run: async (args) => {
    const options = {
      ...ASKING,
      limit: { type: 'string' },
      all: { type: 'boolean' },
      verify: { type: 'boolean' },
    } as const
    const { values, positionals } = parse(args, options, 1)
    const [context] = positionals
    if (values.verify === true) {
      if (context !== undefined || values.limit !== undefined || values.all === true)
        throw new UsageError('--verify is about the whole log: it takes no context, no --limit and no --all')
      return verify(values)
    }
    const limit = readLimit(values.limit, values.all === true)
    if (values.all === true && values.json !== true) throw new UsageError('--all is an export: say --json as well')
    const client = clientFor(values)
    if (values.all === true) return exportAll(client, context)
    const { body, said } = await client.get(withQuery(PATHS.audit, { context, limit }), auditPage)
    await mustBeKnown(client, context, body)
    printAnswer(values, said, (on) => pageLines(body, Date.now(), on))
    return EXIT.done
  },
}

async function verify(values: AskingValues): Promise<number> {
  const { body, said } = await clientFor(values).get(PATHS.auditVerification, auditVerification)
  printAnswer(values, said, (on) => verificationLines(body, on))
  return body.broken === null ? EXIT.done : EXIT.failed
}

const FAULTS: Readonly<Record<NonNullable<ChainReport['broken']>['fault'], string>> = {
  edited: 'was edited: its content does not match its hash',
  missing: 'follows an entry that is not in the log: the entry before it was removed or replaced',
  reordered: 'stands before the entry that it follows: entries were put in another order',
  repeated: 'is in the log twice',
}

function verificationLines(report: ChainReport, on: Screen): string {
  const { verified, unchained, unchainedAfterStart, branches, head, startsAfter, broken } = report
  const entries = `${count(verified, 'entry', 'entries')} verified, ${unchained} unchained`
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
          `${count(branches, 'branch', 'branches')}: expected only after gateways put back entries that Redis had lost`,
        ]),
  ].map((text) => paint({ text: `note: ${text}`, tone: 'faint' }, on))
  if (broken === null) return [`${entries}, head ${head ?? '-'}`, ...notes].join('\n')
  const fault = `the entry at position ${broken.position} (${showMoment(broken.at)}) ${FAULTS[broken.fault]}`
  return [paint({ text: fault, tone: 'warning' }, on), `before it: ${entries}, head ${head ?? '-'}`, ...notes].join(
    '\n',
  )
}

function readLimit(text: string | undefined, isAll: boolean): number {
  if (text === undefined) return isAll ? MOST : 20
  if (isAll) throw new UsageError('--limit and --all exclude each other')
  const limit = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (limit >= 1 && limit <= MOST) return limit
  throw new UsageError(
    `--limit: must be a whole number from 1 to ${MOST} (found ${formatValue(text)}); --all --json is all`,
  )
}

/** An empty log may be a typing mistake; a context that the config no longer has may still have its past. */
async function mustBeKnown(client: Client, context: string | undefined, { records }: AuditPage): Promise<void> {
  if (context !== undefined && records.length === 0) await client.get(pathOf(PATHS.context, context), contextResponse)
}

/** Page by page, so that a log of any length can be written out. */
async function exportAll(client: Client, context: string | undefined): Promise<number> {
  let cursor: string | null = null
  let dropped = 0
  do {
    const page: AuditPage = await nextPage(client, context, cursor)
    if (cursor === null) await mustBeKnown(client, context, page)
    for (const record of page.records) process.stdout.write(`${json(record)}\n`)
    cursor = page.next
    dropped = page.dropped
  } while (cursor !== null)
  if (dropped > 0) process.stderr.write(`strangler history: ${gone(dropped)}\n`)
  return EXIT.done
}

async function nextPage(client: Client, context: string | undefined, cursor: string | null): Promise<AuditPage> {
  return (await client.get(withQuery(PATHS.audit, { context, limit: MOST, cursor }), auditPage)).body
}

const HEADS = ['when', 'what', 'context', 'change', 'by', 'result', 'why']

function pageLines({ records, next, dropped }: AuditPage, now: number, on: Screen): string {
  if (records.length === 0) return 'nothing is on record'
  return [
    table(
      HEADS,
      records.map((record) => rowOf(record, now)),
      on,
      ['when', 'what'],
    ),
    ...(next === null ? [] : [paint({ text: 'older ones: --limit, or --all --json', tone: 'faint' }, on)]),
    ...(next === null && dropped > 0 ? [paint({ text: gone(dropped), tone: 'warning' }, on)] : []),
  ].join('\n')
}

function gone(dropped: number): string {
  return `${count(dropped, 'older record')} ${dropped === 1 ? 'is' : 'are'} gone: the log has a limit`
}

function rowOf(record: AuditRecord, now: number): Cell[] {
  const { at, verb, context, actor, address, result, detail, reason } = record
  return [
    showMoment(at),
    verb,
    context ?? '-',
    changeOf(record, now),
    address === null ? actor : `${actor} (${address})`,
    result === 'done' ? result : { text: result, tone: 'warning' },
    [reason, detail].filter((text) => text !== null).join('; '),
  ]
}

function changeOf({ verb, before, after, until, result }: AuditRecord, now: number): string {
  if (result !== 'done') return ''
  if (verb === 'pin') return `${shown(after)} ${showEnd(until, now)}`
  if (verb === 'kill' || verb === 'revive') return ''
  if (verb === 'shadow') return between(sampleOf(before), sampleOf(after))
  if (verb === 'rule' || verb === 'resolve') {
    return `${differenceIn(after)}: ${between(saidOf(before), saidOf(after))}`
  }
  const unit = verb === 'flip' || verb === 'outside' ? ' %' : ''
  const [was, is] = [before, after].map((value) => (typeof value === 'number' ? `${value}${unit}` : shown(value)))
  return between(String(was), String(is))
}

function between(was: string, is: string): string {
  return was === is ? is : `${was} → ${is}`
}

function sampleOf(percentage: unknown): string {
  return typeof percentage === 'number' ? `${percentage} %` : 'as configured'
}

/** A side, a pin, or what a rollback or a restored store puts in the place of what. */
function shown(value: unknown): string {
  if (value === null || value === undefined) return '-'
  if (typeof value !== 'object') return String(value)
  if ('side' in value) return String(value.side)
  if ('generation' in value) return `generation ${value.generation}`
  if (!('percentage' in value)) return JSON.stringify(value)
  const { pin, percentage } = value as { readonly pin?: unknown; readonly percentage: unknown }
  return pin === null || pin === undefined ? `${percentage} %` : shown(pin)
}
