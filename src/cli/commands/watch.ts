// `strangler watch`: says what changes, as it happens.
import type { ChangeEvent } from '../../admin/contract/change-event.ts'
import { follow } from '../client/follow-changes.ts'
import { ASKING, clientFor, screenFor } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { showMoment } from '../format/durations.ts'
import { type ChangeLine, changesBetween } from '../format/event-changes.ts'
import { json, paint, plain, type Screen } from '../format/print.ts'
import { asking } from '../manual.ts'
import { parse } from '../parse.ts'

const summary = 'follows every change, whoever makes it'

export const watch: Command = {
  summary,
  help: asking({
    summary,
    usage: 'strangler watch [options]',
    examples: ['strangler watch', 'strangler watch --json'],
    about: `
One line for each change, from any gateway of the fleet, until Ctrl-C. A lost connection is said and
made anew, and what changed meanwhile is told then. The end of a pin and the kill file of the gateway
that is asked are shown too; kill files of other gateways are in strangler status.
With --json each line is an event of the API: the
state as it is, and first of all as it was when it began.`,
  }),
  run: async (args) => {
    const { values } = parse(args, ASKING, 0)
    const client = clientFor(values)
    const isOver = endedByPerson()
    const on = screenFor(values)
    const onLost = (why: string) => void process.stderr.write(`strangler watch: ${plain(why)}; trying again\n`)
    let before: ChangeEvent | undefined
    for await (const { event, said } of follow(client, isOver, onLost)) {
      const text = values.json === true ? json(said) : tell(before, event, client.whom.url, on)
      if (text !== '') process.stdout.write(`${text}\n`)
      before = event
    }
    return EXIT.done
  },
}

/** Ctrl-C is how it ends, and no failure. */
function endedByPerson(): AbortSignal {
  const ended = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort())
  return ended.signal
}

function tell(before: ChangeEvent | undefined, event: ChangeEvent, url: string, on: Screen): string {
  if (before === undefined) return `following ${url} from generation ${event.generation}; Ctrl-C ends it`
  return changesBetween(before, event)
    .map((line) => tellOne(line, on))
    .join('\n')
}

function tellOne({ what, became, stamp }: ChangeLine, on: Screen): string {
  const when = paint({ text: showMoment(stamp?.at ?? Date.now()), tone: 'faint' }, on)
  const who = stamp === undefined ? '' : `, by ${stamp.by}${stamp.reason === null ? '' : `: ${stamp.reason}`}`
  return `${when}  ${paint({ text: what, tone: 'strong' }, on)}: ${paint(`${became}${who}`, on)}`
}
