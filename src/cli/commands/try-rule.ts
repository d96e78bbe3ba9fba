// `strangler shadow try-rule`: shows the effect of comparison rules on the stored examples, before the rules are in the config.
import { readFile } from 'node:fs/promises'
import { PATHS } from '../../admin/contract/api-paths.ts'
import { type RuleTrial, ruleTrial } from '../../admin/contract/comparisons.ts'
import { apiPath } from '../client/api-path.ts'
import { createGatewayClient, printResponse, type QueryValues, readArgument } from '../client/gateway-options.ts'
import { EXIT } from '../exit-codes.ts'
import {
  type Cell,
  countNoun,
  escapeControls,
  formatNamedRows,
  formatTable,
  isTooWide,
  paint,
  type Screen,
} from '../format/print.ts'
import { UsageError } from '../usage-error.ts'

export async function tryRule(
  positionals: readonly string[],
  values: QueryValues & { readonly route?: string | undefined },
): Promise<number> {
  const context = readArgument(positionals, 0, 'the context: strangler shadow try-rule catalog rules.json')
  const file = readArgument(
    positionals,
    1,
    `the file with rules: strangler shadow try-rule ${escapeControls(context)} rules.json`,
  )
  const rules = await readRules(file)
  const path = apiPath(PATHS.tryRule, context)
  const client = createGatewayClient(values)
  const { body, raw } = await client.query(path, { rules, route: values.route }, ruleTrial)
  const hasNone = values.route !== undefined && body.examples === 0 && values.json !== true
  const others = hasNone ? routesWithExamples((await client.query(path, { rules }, ruleTrial)).body) : []
  printResponse(values, raw, (screen) => trialLines(body, screen, others))
  return EXIT.done
}

/** The routes with stored examples. */
function routesWithExamples({ differences }: RuleTrial): string[] {
  return [...new Set(differences.map(({ route }) => route))].sort()
}

async function readRules(file: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new UsageError(`${escapeControls(file)} cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${escapeControls(file)} is not JSON: ${escapeControls((error as Error).message)}`)
  }
}

/** @param others routes with examples, if the requested route has no examples */
export function trialLines(
  { examples, differences, appearing }: RuleTrial,
  screen: Screen,
  others: readonly string[] = [],
): string {
  if (examples === 0) {
    const nothing = 'no examples are stored for these rules'
    return others.length === 0 ? nothing : escapeControls(`${nothing}; there are examples of ${others.join(', ')}`)
  }
  const rows = differences.map(({ route, kind, path, forgiven, remaining, untried, fingerprint }): Cell[] => [
    route,
    `${kind} ${path}`,
    forgiven === 0 ? '0' : { text: String(forgiven), tone: 'good' },
    remaining === 0 ? '0' : { text: String(remaining), tone: 'warning' },
    String(untried),
    fingerprint,
  ])
  const hasUntried = differences.some(({ untried }) => untried > 0)
  return [
    `tried on ${countNoun(examples, 'example')}; nothing was changed`,
    '',
    rowsTable(rows, screen),
    ...(hasUntried ? [paint({ text: UNTRIED, tone: 'faint' }, screen)] : []),
    ...appearing.map((difference) =>
      paint(
        {
          text: `NEW: ${difference.kind} ${difference.path} of ${difference.route} would differ, in ${countNoun(difference.examples, 'example')}`,
          tone: 'warning',
        },
        screen,
      ),
    ),
  ].join('\n')
}

function rowsTable(rows: readonly (readonly Cell[])[], screen: Screen): string {
  if (!isTooWide(HEADS, rows, screen)) return formatTable(HEADS, rows, screen)
  const named = rows.map(([route = '', field = '', ...cells]) => ({ names: [route, field], cells }))
  return formatNamedRows(HEADS.slice(2), named, screen)
}

const HEADS = ['route', 'field', 'forgiven', 'remaining', 'untried', 'fingerprint']
const UNTRIED = 'untried: the example has no body, or its difference is masked, so the effect is unknown'
