// docs/cli.md contains the manuals of the commands.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CHANGE_HELP, QUERY_HELP } from './client/gateway-options.ts'
import type { Command } from './command.ts'
import { EXIT_MEANINGS } from './exit-codes.ts'
import { COMMANDS } from './main.ts'

const DOCUMENT = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8')
/** docs/configuration.md contains these. */
const ELSEWHERE = ['serve', 'check']
/** Commands that call no gateway. */
const ASKS_NO_GATEWAY = ['replay']

const here = Object.keys(COMMANDS).filter((name) => !ELSEWHERE.includes(name))
const asking = here.filter((name) => !ASKS_NO_GATEWAY.includes(name))

test.each(here)('docs/cli.md contains the manual of %s', async (name) => {
  const { help } = await commandOf(name)
  const [, commands] =
    new RegExp(`^### \`strangler ${name}\`\n\n\`\`\`text\n([\\s\\S]*?)\n\`\`\`$`, 'm').exec(DOCUMENT) ?? []
  expect(commands).toBe(withoutCommonOptions(help))
})

test.each(here)('the manual of %s begins with its summary, and its lines fit a terminal', async (name) => {
  const { help, summary } = await commandOf(name)
  expect(help).toContain(`strangler ${name}: ${summary}\n\nUsage: strangler ${name}`)
  const long = help.split('\n').filter((line) => line.length > 110 && !line.startsWith('  --'))
  expect(long).toEqual([])
})

test.each(asking)('the manual of %s lists the options that select the gateway', async (name) => {
  const { help } = await commandOf(name)
  for (const option of ['--url', '--token', '--profile', '--json', '--no-color']) expect(help).toContain(`  ${option} `)
  expect(help).toMatch(/--token .*"ps"/)
})

test('docs/cli.md contains the common options, all exit codes and no other command', () => {
  expect(DOCUMENT).toContain(`\`\`\`text\n${CHANGE_HELP}\n\`\`\``)
  const rows = [...DOCUMENT.matchAll(/^\| (\d) +\| (.*?) +\|$/gm)].map(([, code, meaning]) => [code, meaning])
  expect(rows).toEqual(Object.entries(EXIT_MEANINGS))
  const commands = [...DOCUMENT.matchAll(/^### `strangler (\w+)`$/gm)].map(([, name]) => name)
  expect(commands.sort()).toEqual(here.sort())
})

function withoutCommonOptions(help: string): string {
  const [own = ''] = help.replace(CHANGE_HELP, '').replace(QUERY_HELP, '').split('\nExit codes:')
  return own.replaceAll(/\n{3,}/g, '\n\n').trim()
}

async function commandOf(name: string): Promise<Command> {
  const load = COMMANDS[name]
  if (load === undefined) throw new Error(`there is no command ${name}`)
  return load()
}
