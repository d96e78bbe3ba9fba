// Creates the flags of flags.json in Unleash, with their percentages. An existing flag is not changed: after its creation, operators
// control its percentage, and a restart must not reset it.
//
//   UNLEASH_URL=http://127.0.0.1:4242/api UNLEASH_ADMIN_TOKEN=… node scripts/create-flags.ts
import { readFile } from 'node:fs/promises'

interface Flag {
  readonly name: string
  readonly type: string
  readonly enabled: boolean
  readonly strategies: readonly object[]
}

const {
  UNLEASH_URL,
  UNLEASH_ADMIN_TOKEN,
  UNLEASH_PROJECT = 'default',
  UNLEASH_ENVIRONMENT = 'development',
} = process.env
if (!UNLEASH_URL || !UNLEASH_ADMIN_TOKEN) {
  console.error('set UNLEASH_URL (such as http://127.0.0.1:4242/api) and UNLEASH_ADMIN_TOKEN')
  process.exit(1)
}
const authorization = UNLEASH_ADMIN_TOKEN
const features = `${UNLEASH_URL}/admin/projects/${UNLEASH_PROJECT}/features`

const flagsFile = new URL('../flags.json', import.meta.url)
const { features: flags } = JSON.parse(await readFile(flagsFile, 'utf8')) as { features: Flag[] } // Unleash's own format
for (const flag of flags) console.log(`${flag.name}: ${(await create(flag)) ? 'created' : 'exists already'}`)

async function create({ name, type, enabled, strategies }: Flag): Promise<boolean> {
  const environment = `${features}/${name}/environments/${UNLEASH_ENVIRONMENT}`
  if (!(await post(features, { name, type, impressionData: false }, 409))) return false
  for (const strategy of strategies) await post(`${environment}/strategies`, strategy)
  if (enabled) await post(`${environment}/on`)
  return true
}

/** Returns true after a success, and false after the expected refusal. */
async function post(url: string, body?: object, expectedRefusal?: number): Promise<boolean> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify(body ?? {}),
  })
  if (answer.ok) return true
  if (answer.status === expectedRefusal) return false
  throw new Error(`POST ${url} was answered ${answer.status}: ${(await answer.text()).slice(0, 300)}`)
}
