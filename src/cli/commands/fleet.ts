// `strangler fleet`: the gateways, and who has applied what.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { type FleetResponse, fleetResponse, type MemberResponse } from '../../admin/contract/fleet-response.ts'
import { pathOf } from '../client/api-path.ts'
import { CHANGING, type ChangingValues, clientFor, printAnswer } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { showDuration, showTime } from '../format/durations.ts'
import { type Cell, type Screen, table } from '../format/print.ts'
import { lagOf } from '../format/status-lines.ts'
import { changing } from '../manual.ts'
import { parse } from '../parse.ts'
import { carryOut } from '../request-change.ts'
import { UsageError } from '../usage-error.ts'

const summary = 'lists the gateways, and which have applied the last change'

export const fleet: Command = {
  summary,
  help: changing({
    summary,
    usage: 'strangler fleet [forget GATEWAY] [options]',
    examples: ['strangler fleet', 'strangler fleet forget edge-3 --reason "the host is gone"'],
    about: `
A gateway that was heard of and fell silent is listed for a quarter of an hour, or as --forget-after of
the gateways says, also if Redis has lost its data since. forget ends that at once; a gateway that
reports is never forgotten. Exits 3 while not all
have applied the last change and have the same percentages in force, so that a script can wait for them.`,
  }),
  run: async (args) => {
    const { values, positionals } = parse(args, CHANGING, 2)
    if (positionals.length > 0) return forget(positionals, values)
    const { body, said } = await clientFor(values).get(PATHS.fleet, fleetResponse)
    printAnswer(values, said, (on) => fleetTable(body, Date.now(), on))
    return body.members.every(({ isConverged }) => isConverged) ? EXIT.done : EXIT.notConverged
  },
}

function forget([verb, id = '']: readonly string[], values: ChangingValues): Promise<number> {
  if (verb !== 'forget' || id === '') throw new UsageError('say which gateway: strangler fleet forget edge-3')
  return carryOut({ method: 'DELETE', path: pathOf(PATHS.fleetMember, id) }, values)
}

const HEADS = ['gateway', 'address', 'version', 'started', 'applied', 'flags', 'state']

function fleetTable(view: FleetResponse, now: number, on: Screen): string {
  const rows = view.members.map((member): Cell[] => [
    { text: member.id, tone: 'strong' },
    member.address,
    member.version,
    showTime(member.startedAt, now),
    `${member.applied} of ${view.generation}`,
    flagsCell(member),
    stateCell(member, view),
  ])
  return table(HEADS, rows, on, ['address', 'state'])
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
