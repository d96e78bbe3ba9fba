// `strangler status`: shows the state of the gateway, the contexts and the fleet.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { statusResponse } from '../../admin/contract/status.ts'
import { createGatewayClient, printResponse, QUERY_OPTIONS } from '../client/gateway-options.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { statusLines } from '../format/status-lines.ts'
import { queryManual } from '../manual.ts'
import { parse } from '../parse.ts'

const summary = 'shows which side answers each context, and every problem'

export const status: Command = {
  summary,
  help: queryManual({
    summary,
    usage: 'strangler status [options]',
    examples: ['strangler status', 'strangler status --json'],
    about: `
Above the table: the kill switch and kill files, the store, the age of the flags, a map or flags file on
disk that this gateway has rejected, addresses of legacy that get no requests, and the gateways that have
not applied the last change.

In the table, for each context: its percentage, the side that answers now, its pin and freeze with author
and end, the shadow percentage if an operator has set one, and the requests of the last minute by side, on
all gateways. "UNAVAILABLE" means that no address of the service is available. "100 % of matching people"
means that constraints, segments, several strategies or stickiness of the flag exclude some people; the
share of the last minute is shown beside it.

Below the table: addresses of services that get no requests from this gateway, why and until when.
The exit code is 0 whatever the status: scripts read --json.`,
  }),
  run: async (args) => {
    const { values } = parse(args, QUERY_OPTIONS, 0)
    const client = createGatewayClient(values)
    const { body, raw } = await client.get(PATHS.status, statusResponse)
    printResponse(values, raw, (screen) => statusLines(body, client.gateway.url, Date.now(), screen))
    return EXIT.done
  },
}
