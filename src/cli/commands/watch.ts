// `strangler watch`: prints changes as they happen.
import type { ChangeEvent } from '../../admin/contract/change-event.ts'
import { followChanges } from '../client/follow-changes.ts'
import { createGatewayClient, createScreen, QUERY_OPTIONS } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { showMoment } from '../format/durations.ts'
import { type ChangeLine, changesBetween } from '../format/event-changes.ts'
import { escapeControls, formatJson, paint, type Screen } from '../format/print.ts'
import { queryManual } from '../manual.ts'
import { parse } from '../parse.ts'

const summary = 'prints every change as it happens'

export const watch: Command = {
  summary,
  help: queryManual({
    summary,
    usage: 'strangler watch [options]',
    examples: ['strangler watch', 'strangler watch --json'],
    about: `
One line for each change on any gateway of the fleet, until Ctrl-C. After a lost connection it reconnects
and prints the changes that it missed. It also prints the end of a pin, and changes of the kill file of
the gateway that it calls; kill files of other gateways are in strangler status.
With --json each line is an event of the API, which contains the whole state; the first event is the state
at the start.`,
  }),
  run: async (args) => {
    const { values } = parse(args, QUERY_OPTIONS, 0)
    const client = createGatewayClient(values)
    const stop = abortOnSignal()
    const screen = createScreen(values)
    const onLost = (why: string) => void process.stderr.write(`strangler watch: ${escapeControls(why)}; trying again\n`)
    let previous: ChangeEvent | undefined
    for await (const { event, raw } of followChanges(client, stop, onLost)) {
      const text = values.json === true ? formatJson(raw) : eventLines(previous, event, client.gateway.url, screen)
      if (text !== '') process.stdout.write(`${text}\n`)
      previous = event
    }
    return EXIT.done
  },
}

/** Ctrl-C ends the command, and is not a failure. */
function abortOnSignal(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => controller.abort())
  return controller.signal
}

function eventLines(previous: ChangeEvent | undefined, event: ChangeEvent, url: string, screen: Screen): string {
  if (previous === undefined) return `following ${url} from generation ${event.generation}; stop with Ctrl-C`
  return changesBetween(previous, event)
    .map((line) => changeLine(line, screen))
    .join('\n')
}

function changeLine({ subject: what, change: became, stamp }: ChangeLine, screen: Screen): string {
  const when = paint({ text: showMoment(stamp?.at ?? Date.now()), tone: 'faint' }, screen)
  const author = stamp === undefined ? '' : `, by ${stamp.by}${stamp.reason === null ? '' : `: ${stamp.reason}`}`
  return `${when}  ${paint({ text: what, tone: 'strong' }, screen)}: ${paint(`${became}${author}`, screen)}`
}
