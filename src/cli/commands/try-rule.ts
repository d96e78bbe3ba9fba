// `strangler shadow try-rule`: what rules would make of the examples that are kept, before they are saved.
import { readFile } from 'node:fs/promises'
import { PATHS } from '../../admin/contract/api-paths.ts'
import { type RuleTrial, ruleTrial } from '../../admin/contract/comparisons.ts'
import { pathOf } from '../client/api-path.ts'
import { type AskingValues, clientFor, printAnswer, wordAt } from '../client/gateway-options.ts'
import { EXIT } from '../exit-codes.ts'
import { type Cell, count, isTooWide, paint, plain, type Screen, table, tableUnderNames } from '../format/print.ts'
import { UsageError } from '../usage-error.ts'

export async function tryRule(
  words: readonly string[],
  values: AskingValues & { readonly route?: string | undefined },
): Promise<number> {
  const context = wordAt(words, 0, 'which context: strangler shadow try-rule catalog rules.json')
  const file = wordAt(words, 1, `which rules: strangler shadow try-rule ${plain(context)} rules.json`)
  const rules = await readRules(file)
  const path = pathOf(PATHS.tryRule, context)
  const client = clientFor(values)
  const { body, said } = await client.ask(path, { rules, route: values.route }, ruleTrial)
  const hasNone = values.route !== undefined && body.examples === 0 && values.json !== true
  const others = hasNone ? routesIn((await client.ask(path, { rules }, ruleTrial)).body) : []
  printAnswer(values, said, (on) => trialLines(body, on, others))
  return EXIT.done
}

/** The routes of which examples are kept. */
function routesIn({ differences }: RuleTrial): string[] {
  return [...new Set(differences.map(({ route }) => route))].sort()
}

async function readRules(file: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new UsageError(`${plain(file)} cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${plain(file)} is no JSON: ${plain((error as Error).message)}`)
  }
}

/** @param others routes that do have examples, where the one that was asked for has none */
export function trialLines(
  { examples, differences, appearing }: RuleTrial,
  on: Screen,
  others: readonly string[] = [],
): string {
  if (examples === 0) {
    const nothing = 'no examples are kept that these rules could be tried on'
    return others.length === 0 ? nothing : plain(`${nothing}; there are some of ${others.join(', ')}`)
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
    `tried on ${count(examples, 'example')}; nothing was changed`,
    '',
    rowsTable(rows, on),
    ...(hasUntried ? [paint({ text: UNTRIED, tone: 'faint' }, on)] : []),
    ...appearing.map((one) =>
      paint(
        {
          text: `NEW: ${one.kind} ${one.path} of ${one.route} would differ, in ${count(one.examples, 'example')}`,
          tone: 'warning',
        },
        on,
      ),
    ),
  ].join('\n')
}

function rowsTable(rows: readonly (readonly Cell[])[], on: Screen): string {
  if (!isTooWide(HEADS, rows, on)) return table(HEADS, rows, on)
  const named = rows.map(([route = '', field = '', ...cells]) => ({ names: [route, field], cells }))
  return tableUnderNames(HEADS.slice(2), named, on)
}

const HEADS = ['route', 'field', 'forgiven', 'remaining', 'untried', 'fingerprint']
const UNTRIED = 'untried: no body was kept, or what differs in it is masked, so nothing is known of these'
