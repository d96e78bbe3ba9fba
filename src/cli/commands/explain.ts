// `strangler explain`: why a request would go where it goes, as a running gateway says, or the config and the flags.
import { PATHS } from '../../admin/contract/api-paths.ts'
import { type Explanation, explanation } from '../../admin/contract/explanation.ts'
import type { OPTIONS } from '../../config/options/option-table.ts'
import { withQuery } from '../client/api-path.ts'
import { Trouble } from '../client/cli-error.ts'
import { createClient } from '../client/client.ts'
import { ASKING, ASKING_HELP, type AskingValues, printAnswer } from '../client/gateway-options.ts'
import { whomToAsk } from '../client/resolve-gateway.ts'
import type { Command } from '../command.ts'
import { EXIT } from '../exit-codes.ts'
import { explainedLines } from '../format/explained-lines.ts'
import { parse } from '../parse.ts'
import { argumentsFor, describe, readOptions } from '../serve-options.ts'
import { UsageError } from '../usage-error.ts'

/** Options of a gateway that is not running. */
const OFFLINE = ['config', 'flags', 'stateDir'] as const satisfies readonly (keyof typeof OPTIONS)[]

export const explain: Command = {
  summary: 'shows why a request goes to the side it goes to',
  help: `strangler explain: shows why a request goes to the side it goes to

Usage: strangler explain METHOD TARGET [options]

  strangler explain GET /api/orders/42 --user 7

  --user ID               asked by this user (the identity header of the config, or a verified token's sub)
  --session ID            asked with this session (the session cookie of the config), beside --user or alone
  --anonymous ID          asked with this anonymous id
  --ip ADDRESS            asked from this client address (default 127.0.0.1)
  --host HOST             asked of this host (default localhost)

A running gateway is asked if one is named, or if one on this machine answers: it knows its pins and
its health. Otherwise, and with any of these, the config and the flags are read here:
  --offline               no gateway is asked
${describe(['config', 'flags'])}
The last line says which it was; with --json, standard error does if it was chosen for you.

${ASKING_HELP}

Read here, the flags are those of the flags file, or of Unleash where UNLEASH_URL is set. Exits 0, or 1
if the request would be refused or the config cannot be used; 2 and 5 as for every command.
`,
  run: async (args) => {
    const { values, positionals } = parse(
      args,
      {
        ...ASKING,
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
      throw new UsageError('say which request: strangler explain GET /api/orders/42 --user 7')
    }
    const { host = 'localhost', ip = '127.0.0.1', user, session, anonymous } = values
    const asked = {
      method: method.toUpperCase(),
      target,
      host: host.toLowerCase(),
      address: ip,
      user,
      session,
      anonymous,
    }
    const found = await explainBy(asked, values as ExplainValues)
    return found === undefined ? EXIT.failed : tell(found, values)
  },
}

type ExplainValues = AskingValues & { readonly offline?: boolean } & Readonly<Record<string, unknown>>

type Asked = {
  readonly method: string
  readonly target: string
  readonly host: string
  readonly address: string
  readonly user: string | undefined
  readonly session: string | undefined
  readonly anonymous: string | undefined
}

type Found = {
  readonly explained: Explanation
  /** As it was answered: what `--json` shows. */
  readonly said: unknown
  readonly from: string
  /** It was chosen for the person, who may have meant the other. */
  readonly isChosen: boolean
}

function tell({ explained, said, from, isChosen }: Found, values: AskingValues): number {
  if (values.json === true && isChosen) process.stderr.write(`strangler explain: from ${from}\n`)
  printAnswer(values, said, () => explainedLines(explained, from))
  return explained.kind === 'refused' ? EXIT.failed : EXIT.done
}

/** Undefined where the config cannot be used, which is said. */
async function explainBy(asked: Asked, values: ExplainValues): Promise<Found | undefined> {
  if (isOffline(values)) return readHere(asked, values, HERE, false)
  const whom = whomToAsk(values)
  if (whom.isNamed) return askGateway(asked, createClient(whom), false)
  // Without its token no gateway that runs here would answer.
  if (whom.token === undefined) return readHere(asked, values, HERE, false)
  try {
    return await askGateway(asked, createClient(whom, { readTimeoutMs: QUICK_MS }), true)
  } catch (error) {
    if (!(error instanceof Trouble)) throw error
    return readHere(asked, values, `${HERE} (${error.message})`, true)
  }
}

const QUICK_MS = 2_000
const HERE = 'the config and the flags here; pins and health are a running gateway’s'

function isOffline(values: ExplainValues): boolean {
  const here = ['offline', 'config', 'flags'].find((name) => values[name] !== undefined)
  const there = ['url', 'profile', 'token'].find((name) => values[name] !== undefined)
  if (here !== undefined && there !== undefined) throw new UsageError(`--${here} and --${there} exclude each other`)
  return here !== undefined
}

async function askGateway(asked: Asked, client: ReturnType<typeof createClient>, isChosen: boolean): Promise<Found> {
  const { body, said } = await client.get(withQuery(PATHS.explain, asked), explanation)
  return { explained: body, said, from: `the gateway at ${client.whom.url}`, isChosen }
}

/** A gateway that serves nobody is loaded for it: only where it is needed. */
async function readHere(
  asked: Asked,
  values: ExplainValues,
  from: string,
  isChosen: boolean,
): Promise<Found | undefined> {
  const [{ explainRequest }, { ConfigError }] = await Promise.all([
    import('../../entry/explain.ts'),
    import('../../config/config-error.ts'),
  ])
  try {
    const explained = await explainRequest(readOptions(values), asked)
    return { explained, said: explained, from, isChosen }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`strangler explain: ${error.message}\n`)
    return undefined
  }
}
