// `strangler explain`: explains why a request goes to its side. A running gateway answers, or the config and flags on disk.
import { PATHS } from '../../admin/contract/api-paths.ts'
import {
  type ExplainRequest,
  type Explanation,
  explanation as explanationSchema,
} from '../../admin/contract/explanation.ts'
import type { OPTIONS } from '../../config/options/option-table.ts'
import { withQuery } from '../client/api-path.ts'
import { CliError } from '../client/cli-error.ts'
import { Client } from '../client/client.ts'
import { printResponse, QUERY_HELP, QUERY_OPTIONS, type QueryValues } from '../client/gateway-options.ts'
import { findGateway } from '../client/resolve-gateway.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { explainedLines } from '../format/explained-lines.ts'
import { parse } from '../parse.ts'
import { argumentsFor, describeOptionNames, readOptions } from '../serve-options.ts'
import { UsageError } from '../usage-error.ts'

/** Options for an explanation without a running gateway. */
const OFFLINE = ['config', 'flags', 'stateDir'] as const satisfies readonly (keyof typeof OPTIONS)[]

export const explain: Command = {
  summary: 'shows why a request goes to the side it goes to',
  help: `strangler explain: shows why a request goes to the side it goes to

Usage: strangler explain METHOD TARGET [options]

  strangler explain GET /api/orders/42 --user 7

  --user ID               the user (the identity header of the config, or the sub of a verified token)
  --session ID            the session (the session cookie of the config), with --user or alone
  --anonymous ID          the anonymous id
  --ip ADDRESS            the client address (default 127.0.0.1)
  --host HOST             the requested host (default localhost)

The command calls the gateway that is named, or one on this machine if it answers: a running gateway knows
its pins and its health. Otherwise, and with any of these options, the command reads the config and the
flags:
  --offline               calls no gateway
${describeOptionNames(['config', 'flags'])}
The last line of the output names the source. With --json, standard error names it if it was not requested.

${QUERY_HELP}

Offline, the flags come from the flags file, or from Unleash if UNLEASH_URL is set. Exits 0; 1 if the
request would be refused or the config cannot be used; 2 and 5 as for every command.
`,
  run: async (args) => {
    const { values, positionals } = parse(
      args,
      {
        ...QUERY_OPTIONS,
        ...argumentsFor(OFFLINE),
        offline: { type: 'boolean' },
        user: { type: 'string' },
        session: { type: 'string' },
        anonymous: { type: 'string' },
        ip: { type: 'string' },
        host: { type: 'string' },
      },
      2,
    )
    const [method, target] = positionals
    if (method === undefined || target === undefined) {
      throw new UsageError('give the request: strangler explain GET /api/orders/42 --user 7')
    }
    const { host = 'localhost', ip = '127.0.0.1', user, session, anonymous } = values
    const request = {
      method: method.toUpperCase(),
      target,
      host: host.toLowerCase(),
      address: ip,
      user,
      session,
      anonymous,
    }
    const result = await explainRequest(request, values as ExplainValues)
    return result === undefined ? EXIT.failed : printExplanation(result, values)
  },
}

type ExplainValues = QueryValues & { readonly offline?: boolean } & Readonly<Record<string, unknown>>

type ExplainResult = {
  readonly explanation: Explanation
  /** The unchanged JSON, for `--json`. */
  readonly raw: unknown
  readonly source: string
  /** The user has named no source, so the output must name it. */
  readonly isChosen: boolean
}

function printExplanation({ explanation, raw, source, isChosen }: ExplainResult, values: QueryValues): number {
  if (values.json === true && isChosen) process.stderr.write(`strangler explain: from ${source}\n`)
  printResponse(values, raw, () => explainedLines(explanation, source))
  return explanation.kind === 'refused' ? EXIT.failed : EXIT.done
}

/** @returns undefined if the config cannot be used; the mistakes are printed then */
async function explainRequest(request: ExplainRequest, values: ExplainValues): Promise<ExplainResult | undefined> {
  if (isOffline(values)) return explainOffline(request, values, HERE, false)
  const gateway = findGateway(values)
  if (gateway.isNamed) return explainOnline(request, new Client(gateway), false)
  // A gateway on this machine would refuse a request without its token.
  if (gateway.token === undefined) return explainOffline(request, values, HERE, false)
  try {
    return await explainOnline(request, new Client(gateway, { readTimeoutMs: QUICK_MS }), true)
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return explainOffline(request, values, `${HERE} (${error.message})`, true)
  }
}

/** Shorter than for a named gateway: the config and flags on disk are the alternative. */
const QUICK_MS = 2_000
const HERE = 'the config and the flags here; only a running gateway knows pins and health'

function isOffline(values: ExplainValues): boolean {
  const offlineOption = ['offline', 'config', 'flags'].find((name) => values[name] !== undefined)
  const gatewayOption = ['url', 'profile', 'token'].find((name) => values[name] !== undefined)
  if (offlineOption !== undefined && gatewayOption !== undefined)
    throw new UsageError(`--${offlineOption} and --${gatewayOption} exclude each other`)
  return offlineOption !== undefined
}

async function explainOnline(request: ExplainRequest, client: Client, isChosen: boolean): Promise<ExplainResult> {
  const { body, raw } = await client.get(withQuery(PATHS.explain, request), explanationSchema)
  return { explanation: body, raw, source: `the gateway at ${client.gateway.url}`, isChosen }
}

/** Loads the parts of a gateway that decide; the import is dynamic because most calls do not need it. */
async function explainOffline(
  request: ExplainRequest,
  values: ExplainValues,
  source: string,
  isChosen: boolean,
): Promise<ExplainResult | undefined> {
  const { explainRequest } = await import('../../entry/explain.ts')
  const { ConfigError } = await import('../../config/config-error.ts')
  try {
    const explanation = await explainRequest(readOptions(values), request)
    return { explanation, raw: explanation, source, isChosen }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`strangler explain: ${error.message}\n`)
    return undefined
  }
}
