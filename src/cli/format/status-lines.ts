// The status for a person: facts and problems above, then one row for each context.
import type { ContextResponse, UpstreamView } from '../../admin/contract/contexts.ts'
import type { FleetResponse, MemberResponse } from '../../admin/contract/fleet-response.ts'
import type { FileRejection, StatusResponse } from '../../admin/contract/status.ts'
import { showDuration, showEnd, showTime } from './durations.ts'
import { type Cell, countNoun, formatTable, paint, type Screen } from './print.ts'

/** @param url of the gateway that answers @param now milliseconds since 1970 */
export function statusLines(status: StatusResponse, url: string, now: number, screen: Screen): string {
  const facts: readonly (readonly [string, Cell])[] = [
    ['gateway', `${url}, generation ${status.generation}`],
    ['kill', killCell(status, now)],
    ...(status.localKill.length === 0 ? [] : [['kill file', localKillCell(status)] as const]),
    ...(status.killFileProblems ?? []).map((text) => ['kill file', { text, tone: 'bad' }] as const),
    ...otherKillFiles(status).map((cell): [string, Cell] => ['kill file', cell]),
    ['store', storeCell(status)],
    ...restoredFact(status, now),
    ...stateFolderFacts(status, now),
    ...folderFact(status, now),
    ['flags', flagsCell(status)],
    ...(status.rejectedFiles ?? []).map((rejection) => rejectionFact(rejection, now)),
    ...outageCells(status.legacy, now).map((cell): [string, Cell] => ['legacy', cell]),
    ['fleet', fleetCell(status.fleet)],
  ]
  const above = facts.map(([name, cell]) => `${name.padEnd(NAME_WIDTH)}${paint(cell, screen)}`).join('\n')
  return `${above}\n\n${contextTable(status.contexts, now, screen)}`
}

const NAME_WIDTH = 11

function killCell({ kill }: StatusResponse, now: number): Cell {
  if (kill === null) return 'off'
  const text = `ON: everything goes to legacy, ${since(kill, now)}; strangler revive ends it`
  return { text, tone: 'bad' }
}

/** The kill file of the gateway that answers; other gateways have files of their own. */
function localKillCell({ localKill }: StatusResponse): Cell {
  const what = localKill.includes('*') ? 'everything' : localKill.join(', ')
  return { text: `sends ${what} to legacy on this gateway; remove it there`, tone: 'bad' }
}

/** Kill files of the other gateways that report. */
function otherKillFiles({ gateway, fleet }: StatusResponse): Cell[] {
  return fleet.members
    .filter(({ id, localKill, silentMs }) => id !== gateway && localKill.length > 0 && silentMs < SILENT_MS)
    .map(({ id, address, localKill }) => {
      const what = localKill.includes('*') ? 'everything' : localKill.join(', ')
      return { text: `sends ${what} to legacy on ${id} (${address}); remove it there`, tone: 'bad' }
    })
}

function storeCell({ store }: StatusResponse): Cell {
  const where = `${store.kind} at ${store.location}`
  if (store.isConnected) return where
  const why = store.trouble === null ? '' : `: ${store.trouble}`
  return { text: `${where}, CUT OFF for ${showDuration(store.cutOffMs)}${why}`, tone: 'bad' }
}

/** Data that was restored after the store had lost it. It is shown until the gateway restarts. */
function restoredFact({ store: { restored } }: StatusResponse, now: number): [string, Cell][] {
  if (restored === undefined || restored === null) return []
  return [['restored', { text: `${showTime(restored.at, now)}: ${restored.detail}`, tone: 'warning' }]]
}

/** Shown only if an operator has to act. */
function stateFolderFacts({ stateFolder }: StatusResponse, now: number): [string, Cell][] {
  if (stateFolder === undefined) return []
  const { location, isWritable, since: time, trouble, openMode = null } = stateFolder
  const isOpen = `other users can write to ${location} (mode ${openMode}): run chmod 700 ${location} there`
  const open: [string, Cell][] = openMode === null ? [] : [['folder', { text: isOpen, tone: 'warning' }]]
  if (isWritable) return open
  const when = time === null ? '' : ` since ${showTime(time, now)}`
  const text = `${location} cannot be written${when}: ${trouble}; free space there, or make it writable`
  return [['folder', { text, tone: 'bad' }], ...open]
}

function folderFact({ store: { folderLost } }: StatusResponse, now: number): [string, Cell][] {
  if (folderLost === undefined || folderLost === null) return []
  const text = `folder was EMPTY at the start, ${showTime(folderLost.at, now)}, though this gateway has run before: keep it in a volume`
  return [['state', { text, tone: 'warning' }]]
}

function flagsCell({ flags, rejectedFiles = [] }: StatusResponse): Cell {
  const where = `${countNoun(flags.flags, 'flag')} of ${flags.source === 'unleash' ? 'Unleash' : 'the file'} at ${flags.location}`
  // A rejected file has a line of its own.
  const isRejected = rejectedFiles.some(({ file }) => file === 'flags')
  const why = flags.trouble === null || isRejected ? '' : `: ${flags.trouble}`
  if (flags.stale) return { text: `STALE, as they were never read${why} (${where})`, tone: 'bad' }
  const age = flags.ageMs === null ? '' : `, ${showDuration(flags.ageMs)} old`
  if (flags.isRefused) return { text: `${where}${age}, and Unleash REJECTS the token: replace it${why}`, tone: 'bad' }
  return why === '' ? `${where}${age}` : { text: `${where}${age}, and could not be read again${why}`, tone: 'warning' }
}

function rejectionFact({ file, path, since, mistake }: FileRejection, now: number): [string, Cell] {
  const text = `${path} rejected since ${showTime(since, now)}: ${mistake}; the last good content stays in force`
  return [file === 'map' ? 'map' : 'flags file', { text, tone: 'bad' }]
}

function fleetCell(fleet: FleetResponse): Cell {
  const { members } = fleet
  const late = members.filter((member) => !member.isConverged)
  const sum = `${members.length - late.length} of ${countNoun(members.length, 'gateway')} converged`
  if (late.length === 0) return sum
  return {
    text: `${sum}; not ${late.map((member) => `${member.id} (${lagOf(member, fleet)})`).join(', ')}`,
    tone: 'bad',
  }
}

const SILENT_MS = 3500

/** Why a member has not converged: as the gateway reports it, or with an older gateway as the CLI can derive it. */
export function lagOf({ silentMs, applied, lag }: MemberResponse, { generation }: FleetResponse): string {
  if (lag !== undefined && lag !== null) return lag
  if (silentMs >= SILENT_MS) return `silent for ${showDuration(silentMs)}`
  return applied < generation ? `at generation ${applied} of ${generation}` : 'its flags are older'
}

const HEADS = ['context', 'owner', 'percent', 'serving', 'pin', 'freeze', 'shadow', 'legacy/min', 'service/min']
const SHADOW = HEADS.indexOf('shadow')

function contextTable(contexts: readonly ContextResponse[], now: number, screen: Screen): string {
  if (contexts.length === 0) return 'no contexts: legacy answers everything'
  // The column is usually empty, so it is hidden to save width.
  const isShown = (_: unknown, column: number) => column !== SHADOW || contexts.some(({ shadow }) => shadow !== null)
  const rows = contexts.map((context) => contextRow(context, now).filter(isShown))
  const unclear = contexts.filter(({ why }) => why !== null).map(({ name, why }) => `${name}: its flag ${why}`)
  return [
    formatTable(HEADS.filter(isShown), rows, screen, ['context', 'percent', 'serving']),
    ...contexts.flatMap((context) => outageLines(context, now, screen)),
    ...unclear.map((text) => paint({ text, tone: 'warning' }, screen)),
  ].join('\n')
}

function contextRow(context: ContextResponse, now: number): Cell[] {
  const { name, owner, serving, pin, freeze, shadow, lastMinute } = context
  return [
    { text: name, tone: 'strong' },
    owner,
    percentCell(context),
    isUnavailable(context) ? { text: `${serving}: UNAVAILABLE`, tone: 'bad' } : serving,
    pin === null ? '-' : { text: `${pin.side} ${showEnd(pin.until, now)} by ${pin.by}`, tone: 'warning' },
    freeze === null ? '-' : { text: since(freeze, now), tone: 'warning' },
    shadow === null ? '-' : `${shadow.percentage} % by ${shadow.by}`,
    String(lastMinute.legacy),
    String(lastMinute.service),
  ]
}

/** With constraints the percentage is not the share of all people: the share of the last minute is shown beside it. */
function percentCell({ percentage, isForMatching, lastMinute: { legacy, service } }: ContextResponse): Cell {
  const number = percentage === null ? '?' : `${percentage} %`
  if (!isForMatching) return percentage === null ? { text: number, tone: 'warning' } : number
  const total = legacy + service
  const share = total === 0 ? '' : ` (${Math.round((service / total) * 100)} % of the last minute)`
  return { text: `${number} of matching people${share}`, tone: 'warning' }
}

function isUnavailable({ serving, upstream }: ContextResponse): boolean {
  return serving !== 'legacy' && upstream?.available === 0
}

function outageLines(context: ContextResponse, now: number, screen: Screen): string[] {
  const { name, fallback, upstream } = context
  const effect = isUnavailable(context)
    ? [{ text: `no address of its service is available: ${effectOf(fallback)}`, tone: 'bad' } as const]
    : []
  return [...effect, ...outageCells(upstream, now)].map((cell) =>
    paint({ ...cell, text: `${name}: ${cell.text}` }, screen),
  )
}

function effectOf(fallback: ContextResponse['fallback']): string {
  if (fallback === 'all') return 'legacy answers reads and writes'
  return fallback === 'reads' ? 'legacy answers reads, and writes get 503' : 'its requests get 503'
}

/** One cell for each address to which the gateway that answers sends no requests. */
function outageCells(upstream: UpstreamView | undefined, now: number): { text: string; tone: 'bad' | 'warning' }[] {
  if (upstream === undefined) return []
  const tone = upstream.available === 0 ? 'bad' : 'warning'
  return upstream.unavailable.map(({ address, why, since, until }) => {
    const end = until === null ? 'until its health check passes' : showEnd(until, now)
    return { text: `${address} is unavailable since ${showTime(since, now)} (${why}), ${end}`, tone }
  })
}

function since({ by, at: time, reason }: { by: string; at: number; reason: string | null }, now: number): string {
  return `since ${showTime(time, now)} by ${by}${reason === null ? '' : ` (${reason})`}`
}
