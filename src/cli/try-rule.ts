// `strangler shadow try-rule`: what rules would make of the examples that are kept, before they are saved.
import { readFile } from 'node:fs/promises'
import { PATHS, type RuleTrial, ruleTrial } from '../admin/contract.ts'
import { type AskingValues, clientFor, printAnswer, wordAt } from './asking.ts'
import { EXIT } from './exit-codes.ts'
import { pathOf } from './paths.ts'
import { type Cell, count, paint, plain, type Screen, table } from './print.ts'
import { UsageError } from './usage-error.ts'

export async function tryRule(
  words: readonly string[],
  values: AskingValues & { readonly route?: string | undefined },
): Promise<number> {
  const context = wordAt(words, 0, 'which context: strangler shadow try-rule catalog rules.json')
  const file = wordAt(words, 1, `which rules: strangler shadow try-rule ${plain(context)} rules.json`)
  const rules = await readRules(file)
  const path = pathOf(PATHS.tryRule, context)
  const { body, said } = await clientFor(values).ask(path, { rules, route: values.route }, ruleTrial)
  printAnswer(values, said, (on) => trialLines(body, on))
  return EXIT.done
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

export function trialLines({ examples, differences, appearing }: RuleTrial, on: Screen): string {
  if (examples === 0) return 'no examples are kept that these rules could be tried on'
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
    table(HEADS, rows, on, HEADS.slice(2)),
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

const HEADS = ['route', 'field', 'forgiven', 'remaining', 'untried', 'fingerprint']
const UNTRIED = 'untried: no body was kept, or what differs in it is masked, so nothing is known of these'
