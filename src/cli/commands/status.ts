// `strangler status`: where everything stands.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { statusResponse } from '../../admin/contract/status.ts'
import { ASKING, clientFor, printAnswer } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { statusLines } from '../format/status-lines.ts'
import { asking } from '../manual.ts'
import { parse } from '../parse.ts'

const summary = 'shows what answers each context, and what is unusual'

export const status: Command = {
  summary,
  help: asking({
    summary,
    usage: 'strangler status [options]',
    examples: ['strangler status', 'strangler status --json'],
    about: `
Above: the kill switch, kill files, whether the store can be reached, how old the flags are, a map or
flags file on disk that this gateway has rejected, addresses of legacy that get no requests, and whether all
gateways have applied the last change. Below, of each context: its percentage; who answers now, all
things considered; its pin and freeze, by whom and until when; how much of it operators have shadowed,
where they have; the requests of the last minute by side, on all gateways. Under the table: addresses of
services that get no requests from this gateway, why and until when. "UNAVAILABLE" means that no address
of the service is available. "100 % of matching people": constraints, segments, several strategies or
stickiness of the flag leave people out, and the service gets the share of the last minute that is shown.
It exits 0 whatever it shows: a script looks at --json.`,
  }),
  run: async (args) => {
    const { values } = parse(args, ASKING, 0)
    const client = clientFor(values)
    const { body, said } = await client.get(PATHS.status, statusResponse)
    printAnswer(values, said, (on) => statusLines(body, client.whom.url, Date.now(), on))
    return EXIT.done
  },
}
