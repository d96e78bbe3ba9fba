// `strangler fleet`: lists the gateways and the generation that each has applied.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { type FleetResponse, fleetResponse, type MemberResponse } from '../../admin/contract/fleet-response.ts'
import { apiPath } from '../client/api-path.ts'
import { CHANGE_OPTIONS, type ChangeValues, createGatewayClient, printResponse } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { showDuration, showTime } from '../format/durations.ts'
import { type Cell, formatTable, type Screen } from '../format/print.ts'
import { lagOf } from '../format/status-lines.ts'
import { changeManual } from '../manual.ts'
import { parse } from '../parse.ts'
import { requestChange } from '../request-change.ts'
import { UsageError } from '../usage-error.ts'

const summary = 'lists the gateways, and whether each has applied the last change'

export const fleet: Command = {
  summary,
  help: changeManual({
    summary,
    usage: 'strangler fleet [forget GATEWAY] [options]',
    examples: ['strangler fleet', 'strangler fleet forget edge-3 --reason "the host is gone"'],
    about: `
A gateway that no longer reports stays in the list for 15 minutes (--forget-after of the gateways), also if
Redis has lost its data. forget removes it at once; a gateway that reports is never removed. The exit code
is 3 until all gateways have applied the last change and have the same percentages in force, so that a
script can wait for them.`,
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, CHANGE_OPTIONS, 2)
    if (positionals.length > 0) return forget(positionals, values)
    const { body, raw } = await createGatewayClient(values).get(PATHS.fleet, fleetResponse)
    printResponse(values, raw, (screen) => fleetTable(body, Date.now(), screen))
    return body.members.every(({ isConverged }) => isConverged) ? EXIT.done : EXIT.notConverged
  },
}

function forget([verb, id = '']: readonly string[], values: ChangeValues): Promise<number> {
  if (verb !== 'forget' || id === '') throw new UsageError('give the gateway: strangler fleet forget edge-3')
  return requestChange({ method: 'DELETE', path: apiPath(PATHS.fleetMember, id) }, values)
}

const HEADS = ['gateway', 'address', 'version', 'started', 'applied', 'flags', 'state']

function fleetTable(view: FleetResponse, now: number, screen: Screen): string {
  const rows = view.members.map((member): Cell[] => [
    { text: member.id, tone: 'strong' },
    member.address,
    member.version,
    showTime(member.startedAt, now),
    `${member.applied} of ${view.generation}`,
    flagsCell(member),
    stateCell(member, view),
  ])
  return formatTable(HEADS, rows, screen, ['address', 'state'])
}

function stateCell(member: MemberResponse, view: FleetResponse): Cell {
  const state = member.isConverged ? 'converged' : lagOf(member, view)
  if (member.localKill.length === 0) return { text: state, tone: member.isConverged ? 'good' : 'bad' }
  const what = member.localKill.includes('*') ? 'everything' : member.localKill.join(', ')
  return { text: `${state}, KILLED by its own file: ${what}`, tone: 'bad' }
}

function flagsCell({ flags: { source, stale, ageMs } }: MemberResponse): Cell {
  if (stale) return { text: `${source}, STALE`, tone: 'bad' }
  return ageMs === null ? source : `${source}, ${showDuration(ageMs)} old`
}
